#include "brain2music/linalg/crew.h"

#include <ATen/Parallel.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace brain2music::linalg {
namespace {

constexpr std::size_t cache_line = 64;

/// How long a thread looks for new work before it sleeps: longer than what lies between two products of a step.
constexpr auto patience = std::chrono::microseconds(200);
constexpr int looks = 64;  // between two looks at the clock

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

/// What is handed out: number of the call, chunks in all, next chunk. One word, so that a thread that comes late takes
/// a chunk of the call that is, or none.
struct Ticket {
  static constexpr unsigned bits = 24;
  static constexpr uint64_t mask = (uint64_t{1} << bits) - 1;

  uint64_t word = 0;

  static Ticket of(uint64_t call, uint64_t chunks) { return {(call << (2 * bits)) | (chunks << bits)}; }
  uint64_t chunks() const { return (word >> bits) & mask; }
  uint64_t next() const { return word & mask; }
};

/// Whether this thread is doing a chunk: what it calls must not wait for the crew.
thread_local bool at_work = false;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

/// Threads that CrewOnly found; 0 where there is none.
thread_local int of_crew = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

class Crew {
 public:
  explicit Crew(int helpers) {
    for (int i = 0; i < helpers; ++i) {
      threads_.emplace_back([this] { help(); });
    }
  }
  ~Crew() {
    stop_ = true;
    calls_.fetch_add(1);
    calls_.notify_all();
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  int helpers() const { return static_cast<int>(threads_.size()); }

  void run(uint64_t chunks, const c10::function_ref<void(int64_t)>& work) {
    at_work = true;
    work_ = &work;
    done_.store(0, std::memory_order_relaxed);
    ticket_.store(Ticket::of(++call_, chunks).word, std::memory_order_release);
    calls_.fetch_add(1, std::memory_order_release);
    calls_.notify_all();
    take_chunks();
    for (int waited = 0; done_.load(std::memory_order_acquire) < chunks; ++waited) {
      if (waited < looks * looks) {
        pause();
      } else {  // another process has the core of the thread that is waited for: it may have this one
        std::this_thread::yield();
      }
    }
    at_work = false;
  }

 private:
  void take_chunks() {
    for (;;) {
      const Ticket ticket{ticket_.fetch_add(1, std::memory_order_acq_rel)};
      if (ticket.next() >= ticket.chunks()) {
        return;
      }
      (*work_)(static_cast<int64_t>(ticket.next()));  // the call cannot end before this chunk is done
      done_.fetch_add(1, std::memory_order_release);
    }
  }

  bool is_new(uint32_t seen) const { return calls_.load(std::memory_order_acquire) != seen; }

  void help() {
    at_work = true;
    for (uint32_t seen = 0;;) {
      const auto asleep = std::chrono::steady_clock::now() + patience;
      while (!is_new(seen) && std::chrono::steady_clock::now() < asleep) {
        for (int look = 0; look < looks && !is_new(seen); ++look) {
          pause();
        }
      }
      calls_.wait(seen, std::memory_order_acquire);
      if (stop_) {
        return;
      }
      seen = calls_.load(std::memory_order_acquire);
      take_chunks();
    }
  }

  alignas(cache_line) std::atomic<uint64_t> ticket_{0};
  alignas(cache_line) std::atomic<uint64_t> done_{0};
  alignas(cache_line) std::atomic<uint32_t> calls_{0};
  const c10::function_ref<void(int64_t)>* work_ = nullptr;
  uint64_t call_ = 0;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

/// The crew of this process, and who has it.
struct Hired {
  std::mutex mutex;
  std::unique_ptr<Crew> crew;
};

std::unique_ptr<Hired> hired;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): one crew a process

/// Threads do not live on in a fork: the child forgets them and hires its own.
void forget() {
  (void)hired.release();  // NOLINT(bugprone-unused-return-value): joining threads that are not there would hang
  hired = std::make_unique<Hired>();
}

Hired& hired_crew() {
  static const bool once = [] {
    hired = std::make_unique<Hired>();
    pthread_atfork(nullptr, nullptr, forget);
    return true;
  }();
  (void)once;
  return *hired;
}

constexpr int64_t most_chunks = int64_t{1} << (Ticket::bits - 1);

}  // namespace

void share_out(int64_t chunks, c10::function_ref<void(int64_t chunk)> work) {
  const int helpers = (of_crew > 0 ? of_crew : at::get_num_threads()) - 1;
  if (chunks > 1 && helpers > 0 && chunks <= most_chunks && !at_work && !at::in_parallel_region()) {
    Hired& here = hired_crew();
    const std::unique_lock mine(here.mutex, std::try_to_lock);
    if (mine.owns_lock()) {
      if (!here.crew || here.crew->helpers() != helpers) {
        here.crew.reset();
        here.crew = std::make_unique<Crew>(helpers);
      }
      here.crew->run(static_cast<uint64_t>(chunks), work);
      return;
    }
  }
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    work(chunk);
  }
}

CrewOnly::CrewOnly() : before_(at::get_num_threads()) {
  if (before_ > 1) {
    of_crew = before_;
    at::set_num_threads(1);
  }
}

CrewOnly::~CrewOnly() {
  if (before_ > 1) {
    of_crew = 0;
    at::set_num_threads(before_);
  }
}

}  // namespace brain2music::linalg
