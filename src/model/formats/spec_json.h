// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "model/spec.h"

namespace ctr {

// The document that describes a model: spec_members.h lists its members, most of them named as the arguments
// of the public interface. Members that are missing keep defaults; one that is not known is an error, since
// only our own front writes the document. In a path, NUL and a character stand for the byte that is 0x80
// more. The result is what was written: bind() makes a model of it.
ModelSpec spec_from_json(const std::string& text);

// The same backwards, every member written.
std::string spec_to_json(ModelSpec spec);

}  // namespace ctr
