#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "brain2music/io/audio_source.h"

namespace brain2music::io {

constexpr int sf_format_mpeg = 0x230000;  // SF_FORMAT_MPEG, which libsndfile's header before 1.1 lacks

/// One stream of sound within a file, as a file of its own that libsndfile decodes whole.
struct Link {
  std::vector<Piece> pieces;
  std::optional<int64_t> samples;  ///< what the container itself counts
  bool seekable = false;           ///< a seek of libsndfile lands exactly, and what follows is right at once
  bool open = false;               ///< libsndfile's own count may be wrong: only decoding tells
};

/// A file's sound: links one after the other, mostly one.
struct Layout {
  std::vector<Link> links;
  bool walked = false;  ///< the container was read here, and is whole; otherwise only libsndfile knows it
};

/// Reads the container of MPEG, Ogg, FLAC, WAV (RIFF, RIFX, RF64, Wave64), AU and AIFF, so that no length is taken from
/// libsndfile's estimate and nothing is left out. Other files are one link that was not walked.
/// With `whole` all links are needed; otherwise the first of a FLAC file will do where its length is certain.
/// @throws std::runtime_error naming the file when the container says that it is cut or damaged.
Layout audio_layout(AudioSource& file, bool whole);

/// Length of the ID3v2 tags at `offset`; 0 where there are none.
uint64_t id3_length(AudioSource& file, uint64_t offset);

/// Where the tags at the end of the file begin (ID3v1, APE, Lyrics3, ID3v2 with a footer): the file's size without.
uint64_t end_before_tags(AudioSource& file, uint64_t first);

Layout ogg_layout(AudioSource& file);
Layout flac_layout(AudioSource& file, uint64_t start, bool whole);

/// No links where no MPEG frame begins close after `start`.
Layout mpeg_layout(AudioSource& file, uint64_t start);

/// WAV, RF64, Wave64, AU and AIFF; no links where it is none of these, or has no data.
Layout chunk_layout(AudioSource& file);

}  // namespace brain2music::io
