"""What the libraries of a program should find in its environment, before it starts."""

from typing import Final

#: glibc hands a decoded picture's memory back to the kernel after every frame and faults it in
#: again with the next: 12 ms of a 1080p frame. These keep it; few arenas, so that what threads
#: keep stays small. In large pages: where small ones are, the processor has forgotten after the
#: networks, and looks it up anew in a twentieth of the edge's and the broker's time.
ALLOCATOR: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**31),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
    "MALLOC_ARENA_MAX": "2",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}

#: Our matrices are small: threads that OpenBLAS would start for them cost far more than they give,
#: and fight with the networks' own.
LINEAR_ALGEBRA: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
