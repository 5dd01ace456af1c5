#include "brain2music/io/audio_file.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/empty.h>
#include <sndfile.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/io/audio_layout.h"
#include "brain2music/io/audio_source.h"
#include "brain2music/io/file.h"

namespace brain2music::io {
namespace {

constexpr auto loading = "io.load_audio";
constexpr auto saving = "io.save_audio";

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

/// libsndfile reads a CAF or VOC file that was cut short as if it were whole, and says so only in its log: there
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

/// Step of a file's integers; 0 for floating point, where it depends on the values.
double step_of(int format) {
  switch (format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_FLOAT:
    case SF_FORMAT_DOUBLE:
      return 0;
    case SF_FORMAT_PCM_S8:
    case SF_FORMAT_PCM_U8:
      return 0x1p-7;
    case SF_FORMAT_ULAW:
    case SF_FORMAT_ALAW:
      return 0x1p-12;
    case SF_FORMAT_PCM_24:
    case SF_FORMAT_ALAC_24:
      return 0x1p-23;
    case SF_FORMAT_PCM_32:
    case SF_FORMAT_ALAC_32:
      return 0x1p-24;  // as float32 holds it
    default:
      return 0x1p-15;
  }
}

/// What decoding gave: blocks of (samples, channels), and how far it came.
struct Decoded {
  std::vector<at::Tensor> blocks;
  int64_t channels = 0;
  int64_t rate = 0;
  double step = 0;
  int64_t length = 0;  // samples of the file, or of its beginning where no more was needed

  at::Tensor waveform() const {
    int64_t samples = 0;
    for (const at::Tensor& block : blocks) {
      samples += block.size(0);
    }
    at::Tensor all = at::empty({channels, samples}, at::kFloat);
    int64_t at = 0;
    for (const at::Tensor& block : blocks) {
      all.narrow(1, at, block.size(0)).copy_(block.t());
      at += block.size(0);
    }
    return all;
  }
};

class Decoder {
 public:
  Decoder(const AudioSource& source, const Layout& layout, const AudioSpan& span)
      : source_(source), layout_(layout), span_(span) {}

  const Decoded& decode() {
    for (const Link& link : layout_.links) {
      if (last_ && decoded_.length >= *last_) {
        break;
      }
      add(link);
    }
    return decoded_;
  }

  bool reached() const { return first_ <= decoded_.length && (!last_ || *last_ <= decoded_.length); }

 private:
  void add(const Link& link) {
    PiecedFile pieces(source_, link.pieces);
    SF_VIRTUAL_IO functions = PiecedFile::functions();
    SF_INFO info{};
    const File file(sf_open_virtual(&functions, SFM_READ, &info, &pieces));
    pieces.rethrow();
    if (!file) {
      fail(loading, "the file must be audio that libsndfile reads; got '", sf_strerror(nullptr), "' for ",
           source_.name(), hint_for(source_.name()));
    }
    check(file.get(), info, link);
    const int64_t before = decoded_.length;
    const int64_t from = std::max<int64_t>(first_ - before, 0);
    int64_t at = 0;
    if (link.samples && from >= *link.samples && *link.samples > 0) {
      at = *link.samples;  // all of it lies before the span
    } else if (link.seekable && from > 0) {
      if (sf_seek(file.get(), from, SEEK_SET) != from) {
        fail(loading, "the file must be seekable; got '", sf_strerror(file.get()), "' for ", source_.name());
      }
      at = from;
    }
    const bool ended = read(file.get(), from, link.samples, at);
    pieces.rethrow();
    decoded_.length = before + at;
    const std::optional<int64_t> promised = link.samples ? link.samples : std::optional<int64_t>(info.frames);
    const bool certain = link.samples || !link.open;
    if (!error_.empty() || (ended && certain && at != *promised)) {
      fail(loading, "the file must be whole; got ", at, " of ", *promised, " samples", error_, " in ", source_.name());
    }
  }

  /// Reads from sample `at` of a link of `samples`, keeps what follows sample `from`, and moves `at` to where it
  /// stopped.
  /// @return whether the link had no more to give
  bool read(SNDFILE* file, int64_t from, std::optional<int64_t> samples, int64_t& at) {
    const int64_t before = decoded_.length;
    const int64_t most = std::max<int64_t>(1024, (1 << 20) / decoded_.channels);
    while (true) {
      int64_t wanted = last_ ? std::min(most, *last_ - before - at) : most;
      if (wanted <= 0) {
        return false;
      }
      wanted = samples ? std::min(wanted, *samples - at) : wanted;
      if (wanted <= 0) {
        return true;
      }
      const at::Tensor block = at::empty({wanted, decoded_.channels}, at::kFloat);
      const sf_count_t got = sf_readf_float(file, block.mutable_data_ptr<float>(), wanted);
      if (sf_error(file) != SF_ERR_NO_ERROR) {  // asked now: the next read forgets the error
        error_ = std::string(" and '") + sf_strerror(file) + "'";
        at += std::max<sf_count_t>(got, 0);
        return true;
      }
      if (got <= 0) {
        return true;
      }
      const int64_t skipped = std::clamp<int64_t>(from - at, 0, got);
      if (skipped < got) {
        decoded_.blocks.push_back(block.narrow(0, skipped, got - skipped));
      }
      at += got;
    }
  }

  void check(SNDFILE* file, const SF_INFO& info, const Link& link) {
    const bool countless = info.frames < 0 || (info.frames == SF_COUNT_MAX && !link.samples);
    if (info.channels < 1 || info.samplerate < 1 || countless) {
      fail(loading, "the header must give channels, rate and length; got ", info.channels, " channels, ",
           info.samplerate, " Hz, ", info.frames, " samples in ", source_.name());
    }
    const int coding = info.format & SF_FORMAT_SUBMASK;
    if (coding >= 0x80 && coding <= 0x82 && (info.format & SF_FORMAT_TYPEMASK) != sf_format_mpeg) {
      fail(loading, "MPEG audio must be in a file of its own; got it within another format in ", source_.name(),
           ": write it as .mp3, which copies it as it is");
    }
    if (!layout_.walked && (info.format & SF_FORMAT_TYPEMASK) == sf_format_mpeg) {
      fail(loading, "MPEG frames must follow each other from the beginning; got something else in ", source_.name());
    }
    if (!layout_.walked && is_cut_short(file)) {
      fail(loading, "the file must be whole; got less than its header promises in ", source_.name());
    }
    if (decoded_.rate == 0) {
      decoded_.rate = info.samplerate;
      decoded_.channels = info.channels;
      decoded_.step = step_of(info.format);
      first_ = frame_at(span_.start, info.samplerate);
      if (span_.stop) {
        last_ = frame_at(*span_.stop, info.samplerate);
      }
    } else if (decoded_.rate != info.samplerate || decoded_.channels != info.channels) {
      fail(loading, "a file must keep one rate and number of channels; got ", decoded_.rate, " Hz, ", decoded_.channels,
           " channels and from sample ", decoded_.length, " on ", info.samplerate, " Hz, ", info.channels,
           " channels in ", source_.name(), ": convert its parts to one");
    }
  }

  const AudioSource& source_;
  const Layout& layout_;
  const AudioSpan& span_;
  Decoded decoded_;
  std::string error_;  // of the decoder
  int64_t first_ = 0;
  std::optional<int64_t> last_;
};

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
  AudioSource source(path);
  bool whole = !span.stop;
  while (true) {
    const Layout layout = audio_layout(source, whole);
    Decoder decoder(source, layout, span);
    const Decoded& decoded = decoder.decode();
    if (decoder.reached()) {
      Audio audio{decoded.waveform(), decoded.rate, decoded.step};
      if (audio.step == 0) {
        const double peak = audio.waveform.numel() > 0 ? audio.waveform.abs().max().item<double>() : 0;
        audio.step = std::isfinite(peak) ? std::max(0x1p-24, 0x1p-23 * peak) : 0x1p-24;
      }
      return audio;
    }
    if (whole) {
      fail(loading, "the file must be long enough; got ",
           static_cast<double>(decoded.length) / static_cast<double>(decoded.rate), " s where ", span.start, " to ",
           span.stop.value_or(span.start), " s were asked, in ", path.string());
    }
    whole = true;  // the span may go on in what follows the first stream
  }
}

void save_audio(const std::filesystem::path& path, const at::Tensor& waveform, int64_t rate) {
  require(waveform.dim() == 2 && waveform.size(0) > 0, saving, "waveform must be (channels, samples); got shape ",
          waveform.sizes());
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return std::tolower(c); });
  require(ending == ".wav" || ending == ".flac", saving, "path must end in .wav or .flac; got ", path.string());
  require(rate > 0 && rate <= 768'000, saving, "rate must be a number of samples a second; got ", rate);
  const at::Tensor frames = waveform.detach().cpu().to(at::kFloat).t().contiguous();
  if (frames.numel() > 0) {
    const auto peak = frames.abs().max().item<float>();
    require(peak <= 1.0F, saving, "values must be finite and lie in [-1, 1]; got a peak of ", peak);
  }
  SF_INFO info{};
  info.channels = static_cast<int>(frames.size(1));
  info.samplerate = static_cast<int>(rate);
  info.format = (ending == ".wav" ? SF_FORMAT_WAV : SF_FORMAT_FLAC) | SF_FORMAT_PCM_16;
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
