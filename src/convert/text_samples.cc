// SPDX-License-Identifier: Apache-2.0
#include "convert/text_samples.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/parallel.h"
#include "convert/decimal.h"

namespace ctr {
namespace {

constexpr size_t kPartBytes = size_t{2} << 20;
constexpr size_t kMaxLineBytes = size_t{1} << 16;
constexpr size_t kShown = 40;

bool is_separator(char c) { return c == ' ' || c == '\t'; }

std::string shown(std::string_view field) {
  std::string text;
  for (const char c : field.substr(0, kShown)) text += c >= 0x20 && c < 0x7f ? c : '?';
  return fmt::format("\"{}{}\"", text, field.size() > kShown ? "..." : "");
}

// Takes the first line off `text`, without its end.
std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

TextSamples::TextSamples(const FileSystem& files, const std::string& path, SampleText form,
                         const Conversion& conversion)
    : form_(form),
      conversion_(conversion),
      file_(files.open(path)),
      parts_(static_cast<size_t>(std::max(1, conversion.threads))),
      faults_(parts_.size()) {
  block_.resize(kPartBytes * parts_.size() + kMaxLineBytes);
}

// As many whole lines as the block holds.
std::string_view TextSamples::read_lines() {
  std::memmove(block_.data(), block_.data() + used_, filled_ - used_);
  filled_ -= used_;
  const size_t read = file_->read_at(offset_, block_.data() + filled_, block_.size() - filled_);
  offset_ += static_cast<int64_t>(read);
  filled_ += read;
  const std::string_view text(block_.data(), filled_);
  used_ = filled_ < block_.size() ? filled_ : text.rfind('\n') + 1;  // npos + 1 is 0
  if (used_ == 0 && filled_ > 0)
    fail(ErrorKind::io, "\"{}\", line {}: longer than {} bytes; is this a text?", file_->path(), lines_ + 1,
         filled_);
  return text.substr(0, used_);
}

// One piece of whole lines for each part.
std::vector<std::string_view> TextSamples::split(std::string_view text) const {
  std::vector<std::string_view> pieces;
  for (size_t left = parts_.size(); left > 0; --left) {
    const size_t end = left == 1 ? std::string_view::npos : text.find('\n', text.size() / left);
    pieces.push_back(text.substr(0, end == std::string_view::npos ? end : end + 1));
    text.remove_prefix(pieces.back().size());
  }
  return pieces;
}

const std::vector<Samples>& TextSamples::next() {
  check_interrupt();
  const auto pieces = split(read_lines());
  parallel_team(static_cast<int>(pieces.size()), [&](int t, int) {
    const auto part = static_cast<size_t>(t);
    parse(pieces[part], parts_[part], faults_[part]);
  });
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (faults_[i].line > 0)
      fail(ErrorKind::io, "\"{}\", line {}{}", file_->path(), lines_ + faults_[i].line, faults_[i].what);
    lines_ += static_cast<int64_t>(parts_[i].count);
  }
  conversion_.progress(offset_, std::max(offset_, file_->size()));
  return parts_;
}

void TextSamples::parse(std::string_view text, Samples& samples, Fault& fault) const {
  samples.count = 0;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const size_t n = samples.count + 1;
    if (samples.floats.size() < n * form_.floats) samples.floats.resize(2 * n * form_.floats);
    if (samples.keys.size() < n * form_.keys) samples.keys.resize(2 * n * form_.keys);
    float* floats = &samples.floats[samples.count * form_.floats];
    uint32_t* keys = &samples.keys[samples.count * form_.keys];
    fault.what = parse_line(line, floats, keys);
    if (!fault.what.empty()) {
      fault.line = static_cast<int64_t>(n);
      return;
    }
    samples.count = n;
  }
}

// What is wrong with the line, if anything.
std::string TextSamples::parse_line(std::string_view line, float* floats, uint32_t* keys) const {
  const size_t columns = form_.floats + form_.keys;
  if (line.empty()) return fmt::format(": empty, expected {} columns", columns);
  const char* p = line.data();
  const char* const end = p + line.size();
  size_t column = 0;
  for (; column < columns && p <= end; ++column) {
    const char* const begin = p;
    while (p < end && !is_separator(*p)) ++p;
    const std::string_view field(begin, static_cast<size_t>(p++ - begin));
    if (column < form_.floats) {
      const auto value = parse_float(field);
      if (!value) return fmt::format(", column {}: {} is not a number", column + 1, shown(field));
      floats[column] = *value;
    } else {
      const auto key = parse_whole(field);
      if (!key || *key > form_.max_key)
        return fmt::format(", column {}: {} is not a whole number from 0 to {}", column + 1, shown(field),
                           form_.max_key);
      keys[column - form_.floats] = *key;
    }
  }
  if (column == columns && p > end) return {};
  const auto separators = std::count_if(line.begin(), line.end(), is_separator);
  return fmt::format(": {} columns, expected {} ({} numbers, then {} ids)", separators + 1, columns,
                     form_.floats, form_.keys);
}

}  // namespace ctr
