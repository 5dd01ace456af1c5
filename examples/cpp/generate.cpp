// Makes music of brain activity: generate BUNDLE DECODER.safetensors RESPONSES.npy OUT.wav [SECONDS]
// BUNDLE is a folder of trained networks with stages; DECODER what BrainDecoder.save of Python wrote; RESPONSES.npy
// holds (clips, scans, voxels). One clip becomes OUT.wav, several become OUT_0.wav, OUT_1.wav and so on.
#include <brain2music/decoding/decoder_file.h>
#include <brain2music/generation/generator.h>
#include <brain2music/io/audio_file.h>
#include <brain2music/io/npy.h>
#include <brain2music/models/bundle.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) {
    std::fprintf(stderr, "usage: %s BUNDLE DECODER.safetensors RESPONSES.npy OUT.wav [SECONDS]\n", argv[0]);
    return 2;
  }
  try {
    namespace b2m = brain2music;
    const b2m::generation::MusicGenerator generator(b2m::models::Bundle::open(argv[1]));
    const b2m::decoding::BrainDecoder decoder = b2m::decoding::load_decoder(argv[2]);
    if (!decoder.space) {
      throw std::invalid_argument("the decoder must be fitted to Embeddings, which tell their space");
    }
    generator.check_space(decoder.space->hash);

    b2m::generation::GenerationOptions options;
    options.seconds = argc == 6 ? std::stod(argv[5]) : 15;
    options.window = decoder.space->window;  // the embeddings of a clip are a style track
    options.hop = decoder.space->hop;
    const at::Tensor embeddings = decoder.predict(b2m::io::load_npy(argv[3]));  // (clips, windows, dimensions)
    const auto [waveform, rate] = generator.generate(embeddings, options);      // (clips, samples, channels, time)

    const std::filesystem::path out = argv[4];
    for (int64_t clip = 0; clip < waveform.size(0); ++clip) {
      const at::Tensor sound = waveform[clip][0];
      const float peak = std::max(sound.abs().max().item<float>(), 1.0F);  // beyond full scale: quieter as a whole
      const std::string number = waveform.size(0) > 1 ? "_" + std::to_string(clip) : "";
      const auto file = out.parent_path() / (out.stem().string() + number + out.extension().string());
      b2m::io::save_audio(file, sound.div(peak), rate);
      std::printf("%s: %.2f s, %ld Hz\n", file.c_str(), options.seconds, rate);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
