/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/entry_order.c - see trainer/entry_order.h. */
#include "trainer/entry_order.h"

#include "trainer/device_use.h"

void tr_entry_order_free(struct tr_entry_order *order, struct tr_device *device)
{
    uint32_t *arrays[] = {order->columns,       order->entries,       order->rows,
                          order->spare_columns, order->spare_entries, order->counts};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        device->ops->dealloc(device, arrays[i]);
    *order = (struct tr_entry_order){0};
}

int tr_entry_order_room(struct tr_entry_order *order, struct tr_tally *tally, uint32_t entries,
                        struct tr_error *error)
{
    struct tr_device *device = tally->device;
    uint32_t **arrays[] = {&order->columns,       &order->entries,       &order->rows,
                           &order->spare_columns, &order->spare_entries, &order->counts};
    const size_t count = sizeof arrays / sizeof *arrays;
    size_t room = (size_t)entries + entries / 2;
    if (entries <= order->room)
        return 0;
    if (room > INT32_MAX)
        room = INT32_MAX; /* the most that a batch has */
    if (tr_tally_wait(tally, error) < 0)
        return -1;
    tr_entry_order_free(order, device);
    for (size_t i = 0; i < count; i++) {
        size_t numbers = i + 1 < count ? room : TR_CSR_COUNTS(room);
        *arrays[i] = tr_device_allocate(device, numbers, sizeof(uint32_t), error);
        if (!*arrays[i])
            return -1;
    }
    order->room = (uint32_t)room;
    return 0;
}

int tr_entry_order_sort(const struct tr_entry_order *order, struct tr_device *device,
                        const uint32_t *row_offsets, const uint32_t *columns, uint32_t rows,
                        uint32_t entries, uint32_t dim)
{
    const struct tr_csr_order_args args = {
        .row_offsets = row_offsets,
        .columns = columns,
        .rows = rows,
        .entries = entries,
        .dim = dim,
        .sorted_columns = order->columns,
        .sorted_entries = order->entries,
        .entry_rows = order->rows,
        .spare_columns = order->spare_columns,
        .spare_entries = order->spare_entries,
        .counts = order->counts,
    };
    return tr_launch_csr_order(device, &args);
}
