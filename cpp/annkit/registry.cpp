// Which loader reads which kind: one row a class.
#include "annkit/core/registry.h"
#include "annkit/codec/bits.h"
#include "annkit/codec/certified.h"
#include "annkit/codec/rabitq.h"
#include "annkit/codec/raw.h"
#include "annkit/index/flat.h"
#include "annkit/registry.h"

namespace annkit {

void register_parts() {
    Registry<Codec>::add("raw", Raw::load);
    Registry<Codec>::add("bits", Bits::load);
    Registry<Codec>::add("certified", Certified::load);
    Registry<Codec>::add("rabitq", RaBitQ::load);
    Registry<Index>::add("flat", Flat::load);
}

}  // namespace annkit
