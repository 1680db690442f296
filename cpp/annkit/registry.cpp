// Which loader reads which kind: one row a class.
#include "annkit/core/registry.h"
#include "annkit/codec/bits.h"
#include "annkit/codec/certified.h"
#include "annkit/codec/product.h"
#include "annkit/codec/rabitq.h"
#include "annkit/codec/raw.h"
#include "annkit/codec/scalar.h"
#include "annkit/codec/sign_bits.h"
#include "annkit/index/flat.h"
#include "annkit/index/hnsw.h"
#include "annkit/index/ivf.h"
#include "annkit/index/lsh_tables.h"
#include "annkit/index/multi_index_hash.h"
#include "annkit/index/pipeline.h"
#include "annkit/index/refine.h"
#include "annkit/registry.h"
#include "annkit/transform/center.h"
#include "annkit/transform/itq.h"
#include "annkit/transform/normalize.h"
#include "annkit/transform/opq.h"
#include "annkit/transform/pca.h"
#include "annkit/transform/projection.h"
#include "annkit/transform/rotation.h"
#include "annkit/transform/spectral.h"

namespace annkit {

void register_parts() {
    Registry<Codec>::add("raw", Raw::load);
    Registry<Codec>::add("bits", Bits::load);
    Registry<Codec>::add("certified", Certified::load);
    Registry<Codec>::add("scalar", Scalar::load);
    Registry<Codec>::add("product", Product::load);
    Registry<Codec>::add("sign_bits", SignBits::load);
    Registry<Transform>::add("center", Center::load);
    Registry<Transform>::add("itq", Itq::load);
    Registry<Transform>::add("normalize", Normalize::load);
    Registry<Transform>::add("opq", Opq::load);
    Registry<Transform>::add("pca", Pca::load);
    Registry<Transform>::add("projection", Projection::load);
    Registry<Transform>::add("rotation", Rotation::load);
    Registry<Transform>::add("spectral", Spectral::load);
    Registry<Codec>::add("rabitq", RaBitQ::load);
    Registry<Index>::add("flat", Flat::load);
    Registry<Index>::add("hnsw", Hnsw::load);
    Registry<Index>::add("ivf", Ivf::load);
    Registry<Index>::add("lsh_tables", LshTables::load);
    Registry<Index>::add("multi_index_hash", MultiIndexHash::load);
    Registry<Index>::add("pipeline", Pipeline::load);
    Registry<Index>::add("refine", Refine::load);
}

}  // namespace annkit
