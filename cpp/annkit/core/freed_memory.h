// What the C library does with memory that was freed.
#pragma once

namespace annkit {

// malloc of glibc gives large pieces back to the system as they are freed, and each page of the next costs a fault;
// once a piece of 31 MB was freed, it keeps twice as many. What a batch of queries needs is then there for the next
// one.
void keep_freed_memory();

}  // namespace annkit
