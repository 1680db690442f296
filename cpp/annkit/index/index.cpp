#include "annkit/index/index.h"

#include "annkit/codec/codec.h"
#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"

namespace annkit {

std::string Index::factory() const { fail("no factory string makes ", repr()); }

std::unique_ptr<Codec> Index::codec_copy() const { fail(repr(), " has several codecs"); }

void Index::reserve(size_t) {
    fail(repr(), " cannot reserve: how long its lists and tables get is known when the rows are there");
}

size_t Index::nbytes() const {
    size_t total = 0;
    for (const MemoryEntry& entry : memory()) total += entry.bytes;
    return total;
}

std::unique_ptr<Index> Index::clone() const {
    const Held held = hold();
    Writer out(kind());
    save(out);
    return Registry<Index>::load_file(Reader::from_bytes(out.to_bytes()));
}

}  // namespace annkit
