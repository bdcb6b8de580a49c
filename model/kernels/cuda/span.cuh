// Which positions a query sees: those of the prefix come first, its own sequence's after them.
#pragma once
#include "common.cuh"

struct Range { uint32_t begin, end; };

// Causal: position p sees the last `window` positions up to itself. Canvas: the whole sequence, and the last `window - 1`
// of the prefix. A window of 0 is none.
DEVICE Range visible(uint32_t canvas, uint32_t window, uint32_t prefix, uint32_t tokens, uint32_t token) {
    if (canvas) {
        uint32_t seen = window == 0 || window - 1 > prefix ? prefix : window - 1;
        return {prefix - seen, prefix + tokens};
    }
    uint32_t end = prefix + token + 1;
    return {window == 0 || window > end ? 0 : end - window, end};
}
