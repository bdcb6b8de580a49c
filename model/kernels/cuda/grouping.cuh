// Which rows belong to which expert: a table of tiles, each some slots of one expert.
//
// A slot is one token's share of one expert: slot = token · top + rank. `slots` lists them by expert, rising inside one.
// The table has three words a tile: expert, first place in the list, count; a count of 0 ends a block at once.
#pragma once
#include "common.cuh"

struct GroupTile { uint32_t expert, first, count; };

DEVICE GroupTile group_tile(const uint32_t* table, uint32_t index) {
    return {table[3 * index], table[3 * index + 1], table[3 * index + 2]};
}
