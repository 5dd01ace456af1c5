#include "brain2music/io/audio_file.h"

#include <ATen/ops/empty.h>
#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string_view>

#include "brain2music/check.h"
#include "brain2music/io/file.h"

namespace brain2music::io {
namespace {

constexpr auto loading = "io.load_audio";
constexpr auto saving = "io.save_wav";

struct Close {
  void operator()(SNDFILE* file) const { sf_close(file); }
};
using File = std::unique_ptr<SNDFILE, Close>;

/// libsndfile before 1.1 knows no MP3 and says so in words that help nobody.
std::string hint_for(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return std::tolower(c); });
  const bool old = sndfile_version() < "1.1";
  return ending == ".mp3" && old ? " (MP3 needs libsndfile 1.1 or newer; this is " + sndfile_version() + ")" : "";
}

int64_t frame_at(double seconds, int64_t rate) { return std::llround(seconds * static_cast<double>(rate)); }

}  // namespace

std::string sndfile_version() {
  constexpr std::string_view prefix = "libsndfile-";
  const std::string_view text = sf_version_string();
  return std::string(text.starts_with(prefix) ? text.substr(prefix.size()) : text);
}

Audio load_audio(const std::filesystem::path& path, const AudioSpan& span) {
  require(std::isfinite(span.start) && span.start >= 0, loading, "start must not be negative; got ", span.start, " s");
  require(!span.stop || (std::isfinite(*span.stop) && *span.stop > span.start), loading,
          "stop must lie after start; got ", span.start, " to ", span.stop.value_or(0), " s");
  SF_INFO info{};
  const File file(sf_open(path.c_str(), SFM_READ, &info));
  if (!file) {
    fail(loading, "the file must be audio that libsndfile reads; got '", sf_strerror(nullptr), "' for ", path.string(),
         hint_for(path));
  }
  if (info.channels < 1 || info.samplerate < 1 || info.frames < 0 || info.frames == SF_COUNT_MAX) {
    fail(loading, "the header must give channels, rate and length; got ", info.channels, " channels, ", info.samplerate,
         " Hz, ", info.frames, " samples in ", path.string());
  }
  const int64_t rate = info.samplerate;
  const int64_t first = frame_at(span.start, rate);
  const int64_t last = span.stop ? frame_at(*span.stop, rate) : info.frames;
  if (first > info.frames || last > info.frames) {
    fail(loading, "the file must be long enough; got ", static_cast<double>(info.frames) / static_cast<double>(rate),
         " s where ", span.start, " to ", span.stop.value_or(span.start), " s were asked, in ", path.string());
  }
  if (first > 0 && sf_seek(file.get(), first, SEEK_SET) != first) {
    fail(loading, "the file must be seekable; got '", sf_strerror(file.get()), "' for ", path.string());
  }
  const at::Tensor frames = at::empty({last - first, info.channels}, at::kFloat);
  const sf_count_t read = sf_readf_float(file.get(), frames.mutable_data_ptr<float>(), last - first);
  if (read != last - first) {
    fail(loading, "the file must be whole; got ", first + read, " of ", info.frames, " samples in ", path.string());
  }
  return {frames.t().contiguous(), rate};
}

void save_wav(const std::filesystem::path& path, const at::Tensor& waveform, int64_t rate) {
  require(waveform.dim() == 2 && waveform.size(0) > 0, saving, "waveform must be (channels, samples); got shape ",
          waveform.sizes());
  require(rate > 0 && rate <= 768'000, saving, "rate must be a number of samples a second; got ", rate);
  const at::Tensor frames = waveform.detach().cpu().to(at::kFloat).t().contiguous();
  if (frames.numel() > 0) {
    const auto peak = frames.abs().max().item<float>();
    require(peak <= 1.0F, saving, "values must be finite and lie in [-1, 1]; got a peak of ", peak);
  }
  SF_INFO info{};
  info.channels = static_cast<int>(frames.size(1));
  info.samplerate = static_cast<int>(rate);
  info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  WrittenFile target(path, saving);
  File file(sf_open_fd(target.descriptor(), SFM_WRITE, &info, /*close_desc=*/SF_FALSE));
  if (!file) {
    fail(saving, "the file must be writable; got '", sf_strerror(nullptr), "' for ", path.string());
  }
  const sf_count_t written = sf_writef_float(file.get(), frames.const_data_ptr<float>(), frames.size(0));
  if (written != frames.size(0) || sf_close(file.release()) != 0) {
    fail(saving, "the file must be writable; got ", written, " of ", frames.size(0), " samples written to ",
         path.string());
  }
  target.commit();
}

}  // namespace brain2music::io
