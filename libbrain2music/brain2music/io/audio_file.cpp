#include "brain2music/io/audio_file.h"

#include <ATen/ops/empty.h>
#include <sndfile.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
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

uint64_t leading_number(std::string_view& text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc{} ? number : 0;
}

/// libsndfile reads a WAV, AU or OGG file that was cut short as if it were whole, and says so only in its log: there
/// "data : 18000 (should be 11985)", the header's bytes and the file's.
bool is_cut_short(SNDFILE* file) {
  std::array<char, 16384> buffer{};
  sf_command(file, SFC_GET_LOG_INFO, buffer.data(), static_cast<int>(buffer.size()) - 1);
  const std::string_view log(buffer.data());
  if (log.find("File ended unexpectedly") != std::string_view::npos) {
    return true;
  }
  for (const std::string_view field : {"\ndata : ", "Data Size   : "}) {
    const auto at = log.find(field);
    if (at == std::string_view::npos) {
      continue;
    }
    std::string_view rest = log.substr(at + field.size());
    const uint64_t promised = leading_number(rest);
    constexpr std::string_view contradicted = " (should be ";
    if (rest.starts_with(contradicted)) {
      rest.remove_prefix(contradicted.size());
      constexpr uint64_t unknown = 0xFFFFFFFF;  // what a program writes that cannot go back to the header
      return promised != unknown && promised > leading_number(rest);
    }
  }
  return false;
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
  if (is_cut_short(file.get())) {
    fail(loading, "the file must be whole; got less than its header promises in ", path.string());
  }
  const int64_t rate = info.samplerate;
  const int64_t first = frame_at(span.start, rate);
  const int64_t last = span.stop ? frame_at(*span.stop, rate) : info.frames;
  if (first > info.frames || last > info.frames) {
    fail(loading, "the file must be long enough; got ", static_cast<double>(info.frames) / static_cast<double>(rate),
         " s where ", span.start, " to ", span.stop.value_or(span.start), " s were asked, in ", path.string());
  }
  // A frame of MP3 leans on the frames before it: what follows a seek is wrong at first, so it is read from the start.
  constexpr int mpeg = 0x230000;  // SF_FORMAT_MPEG, which headers before 1.1 lack
  const int64_t skipped = (info.format & SF_FORMAT_TYPEMASK) == mpeg ? first : 0;
  if (first > skipped && sf_seek(file.get(), first, SEEK_SET) != first) {
    fail(loading, "the file must be seekable; got '", sf_strerror(file.get()), "' for ", path.string());
  }
  const int64_t wanted = skipped + last - first;
  const at::Tensor frames = at::empty({wanted, info.channels}, at::kFloat);
  const sf_count_t read = sf_readf_float(file.get(), frames.mutable_data_ptr<float>(), wanted);
  if (read != wanted) {
    fail(loading, "the file must be whole; got ", last - wanted + read, " of ", info.frames, " samples in ",
         path.string());
  }
  return {frames.narrow(0, skipped, last - first).t().contiguous(), rate};
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
