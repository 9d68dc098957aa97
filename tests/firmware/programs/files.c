/* Copies in.bin to out.bin in large blocks, backwards within each; a missing file must be refused. */
#include "board.h"

#define BLOCK 65536u

static uint8_t block[BLOCK];

int main(void)
{
    board_init();
    if (board_open_read("missing.bin") >= 0) {
        return 1;
    }
    const int in = board_open_read("in.bin");
    const int out = board_open_write("out.bin");
    if (in < 0 || out < 0) {
        return 2;
    }
    uint64_t total = 0;
    uint32_t bytes;
    while ((bytes = board_read(in, block, BLOCK)) != 0) {
        for (uint32_t i = 0; i < bytes / 2; i++) {
            const uint8_t first = block[i];
            block[i] = block[bytes - 1 - i];
            block[bytes - 1 - i] = first;
        }
        if (board_write(out, block, bytes) != bytes) {
            return 3;
        }
        total += bytes;
    }
    board_close(in);
    board_close(out);
    board_put_u64(total);
    return 0;
}
