// A DTLN in ncnn, hop by hop: reads raw audio from standard input, writes as much to standard output, delay samples
// late.
//
//     denoise-wrapper convert dtln-16k -o phone --name small --to ncnn
//     g++ -O2 -std=c++11 examples/dtln_ncnn.cpp -o dtln_ncnn -I NCNN/include/ncnn -L NCNN/lib -lncnn -lpthread
//     ./dtln_ncnn phone/small 512 128 128 < noisy.f32 > clean.f32
//
// NAME BLOCK HOP UNITS: the files are NAME_1.param and so on; the numbers stand in NAME.json. Samples are 32-bit
// floats, mono, at the network's rate. What an app needs is the class: one for each channel, push() for each hop.
#include <net.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

typedef std::vector<float> Samples;
typedef std::vector<std::complex<float>> Spectrum;

// One of the two networks with its four states, which a hop takes and gives.
class Core {
  public:
    Core(const std::string &name, const char *in, const char *out, int units) : in_(in), out_(out) {
        net_.opt.num_threads = 1; // products of a vector are too small to be shared
        if (net_.load_param((name + ".param").c_str()) || net_.load_model((name + ".bin").c_str())) {
            std::fprintf(stderr, "dtln_ncnn: %s.param and %s.bin cannot be loaded\n", name.c_str(), name.c_str());
            std::exit(1);
        }
        for (int i = 0; i < 4; i++) {
            state_[i].create(units);
            state_[i].fill(0.0f);
        }
    }

    // signal: as wide as the network; answer: likewise.
    void run(Samples &signal, Samples &answer) {
        static const char *const before[4] = {"h1", "c1", "h2", "c2"};
        static const char *const after[4] = {"h1_out", "c1_out", "h2_out", "c2_out"};
        ncnn::Extractor extractor = net_.create_extractor();
        ncnn::Mat out;
        // A copy: layers that work in place want memory that is ncnn's own.
        extractor.input(in_, ncnn::Mat((int)signal.size(), 1, (void *)signal.data()).clone());
        for (int i = 0; i < 4; i++) extractor.input(before[i], state_[i]);
        int failed = extractor.extract(out_, out);
        for (int i = 0; i < 4; i++) failed |= extractor.extract(after[i], state_[i]);
        if (failed) {
            std::fprintf(stderr, "dtln_ncnn: ncnn cannot run %s; are all layers built in, and are the sizes right?\n",
                         out_);
            std::exit(1);
        }
        answer.assign((const float *)out, (const float *)out + signal.size());
    }

  private:
    ncnn::Net net_;
    const char *in_, *out_;
    ncnn::Mat state_[4];
};

// In place, a power of two; the other way round without 1 / n. An app has a faster one at hand.
static void transform(Spectrum &x, bool back) {
    size_t n = x.size();
    if (n == 1) return;
    Spectrum even(n / 2), odd(n / 2);
    for (size_t i = 0; i < n / 2; i++) even[i] = x[2 * i], odd[i] = x[2 * i + 1];
    transform(even, back);
    transform(odd, back);
    for (size_t i = 0; i < n / 2; i++) {
        std::complex<float> turned = std::polar(1.0f, (back ? 1 : -1) * 6.2831853f * (float)i / (float)n) * odd[i];
        x[i] = even[i] + turned;
        x[i + n / 2] = even[i] - turned;
    }
}

class DTLN {
  public:
    DTLN(const std::string &name, int block, int hop, int units)
        : mask_(name + "_1", "mag", "mask", units), frame_(name + "_2", "frame", "frame_out", units), hop_(hop),
          line_(block), sum_(block), magnitude_(block / 2 + 1), spectrum_(block) {}

    // hop samples in, hop samples out, in place, late by block - hop. Full scale is +-1.
    void push(float *samples) {
        size_t block = line_.size();
        std::copy(line_.begin() + hop_, line_.end(), line_.begin());
        std::copy(samples, samples + hop_, line_.end() - hop_);

        for (size_t i = 0; i < block; i++) spectrum_[i] = line_[i];
        transform(spectrum_, false);
        for (size_t i = 0; i < magnitude_.size(); i++) magnitude_[i] = std::abs(spectrum_[i]);
        mask_.run(magnitude_, gains_);
        for (size_t i = 0; i < magnitude_.size(); i++) spectrum_[i] *= gains_[i];
        for (size_t i = 1; i < block / 2; i++) spectrum_[block - i] = std::conj(spectrum_[i]);
        transform(spectrum_, true);
        Samples first(block);
        for (size_t i = 0; i < block; i++) first[i] = spectrum_[i].real() / (float)block;

        frame_.run(first, second_);
        std::copy(sum_.begin() + hop_, sum_.end(), sum_.begin());
        std::fill(sum_.end() - hop_, sum_.end(), 0.0f);
        for (size_t i = 0; i < block; i++) sum_[i] += second_[i];
        std::copy(sum_.begin(), sum_.begin() + hop_, samples);
    }

  private:
    Core mask_, frame_;
    int hop_;
    Samples line_, sum_, magnitude_, gains_, second_;
    Spectrum spectrum_;
};

int main(int argc, char **argv) {
    int block = argc == 5 ? std::atoi(argv[2]) : 0, hop = argc == 5 ? std::atoi(argv[3]) : 0;
    int units = argc == 5 ? std::atoi(argv[4]) : 0;
    if (block < 16 || (block & (block - 1)) || hop < 1 || block % hop || units < 1) {
        std::fprintf(stderr, "usage: dtln_ncnn NAME BLOCK HOP UNITS < noisy.f32 > clean.f32\n");
        return 1;
    }
    DTLN network(argv[1], block, hop, units);
    Samples samples(hop);
    size_t got;
    while ((got = std::fread(samples.data(), sizeof(float), hop, stdin)) > 0) {
        std::fill(samples.begin() + got, samples.end(), 0.0f);
        network.push(samples.data());
        if (std::fwrite(samples.data(), sizeof(float), got, stdout) != got) return 1;
    }
    return 0;
}
