# SPDX-License-Identifier: Apache-2.0
# A build step: writes OUTPUT, a header that names the build by VERSION and the headers in FOLDER.
file(GLOB_RECURSE headers RELATIVE "${FOLDER}" "${FOLDER}/*.h")
set(digests "")
foreach(header ${headers})
  file(SHA256 "${FOLDER}/${header}" digest)
  string(APPEND digests "${header} ${digest}\n")
endforeach()
string(SHA256 digest "${digests}")
string(SUBSTRING "${digest}" 0 12 digest)
file(WRITE "${OUTPUT}" "// Made by cmake/BuildName.cmake.\n#define CTR_BUILD \"${VERSION}+${digest}\"\n")
