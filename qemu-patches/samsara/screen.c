/*
 * Record and replay of multiprocessor KVM guests: the screen of a VGA card
 *
 * What a card shows is its memory, seen through its registers.  The memory is
 * the guest's, and in a replay what it was.  What the guest writes to the
 * registers is noted; a replay has a card that nobody sees but the display, and
 * whose registers get the notes up to the commit where the guest is, whenever
 * somebody looks.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "cpu.h"
#include "hw/boards.h"
#include "hw/display/bochs-vbe.h"
#include "hw/display/vga.h"
#include "hw/display/vga_int.h"
#include "hw/display/vga_regs.h"
#include "ui/console.h"
#include "samsara.h"
#include "samsara-int.h"
#include "smr_note.h"

#define VBE_INDEX_PORT  0x1ce
#define VBE_DATA_PORT   0x1cf

/* Recording: the first card, and whether it is not as after a reset */
static VGACommonState *recorded;
static bool changed;
static SamsaraRegister *watcher;

/* Replay */
static struct {
    VGACommonState vga;
    GraphicHwOps ops;
    struct smr_notes *notes;
    struct smr_note next;       /* not applied yet; kind 0: no more */
    uint32_t output;            /* its line in the list of outputs */
} screen;

/* Recording */

static void register_written(void *card, uint32_t port, uint32_t value)
{
    if (!recorded) {
        recorded = card;
    }
    if (card == recorded) {
        changed = port != SAMSARA_REGISTER_RESET;
        if (watcher) {
            watcher(card, port, value);
        }
    }
}

void samsara_screen_init(void)
{
    samsara_register_written = register_written;
}

void *samsara_screen_watch(SamsaraRegister *written, uint64_t *ram,
                           uint64_t *size)
{
    SamsaraBlock *b = recorded ? samsara_block_of_host(recorded->vram_ptr)
                               : NULL;

    watcher = b ? written : NULL;
    if (b) {
        *ram = b->ram + (recorded->vram_ptr - b->host);
        *size = recorded->vram_size;
    }
    return b ? recorded : NULL;
}

static void put(uint32_t port, uint32_t value)
{
    watcher(recorded, port, value);
}

static void put_indexed(uint32_t port, const uint8_t *regs, unsigned n,
                        uint8_t index)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        put(port, i);
        put(port + 1, regs[i]);
    }
    put(port, index);
}

static void put_crt(const VGACommonState *s)
{
    uint32_t port = s->msr & VGA_MIS_COLOR ? VGA_CRT_IC : VGA_CRT_IM;
    uint8_t lock = s->cr[VGA_CRTC_V_SYNC_END];

    put(port, VGA_CRTC_V_SYNC_END);
    put(port + 1, lock & ~VGA_CR11_LOCK_CR0_CR7);
    put_indexed(port, s->cr, VGA_CRTC_V_SYNC_END, 0);
    put_indexed(port, s->cr, VGA_CRT_C, VGA_CRTC_V_SYNC_END);
    /* the loop has locked the first ones again, if they are */
    put(port, s->cr_index);
}

static void put_attributes(const VGACommonState *s)
{
    uint32_t status = s->msr & VGA_MIS_COLOR ? VGA_IS1_RC : VGA_IS1_RM;
    unsigned i;

    put(status, s->fcr);
    put(status | SAMSARA_REGISTER_READ, 0);
    for (i = 0; i < VGA_ATT_C; i++) {
        put(VGA_ATT_W, i);
        put(VGA_ATT_W, s->ar[i]);
    }
    put(VGA_ATT_W, s->ar_index);
    if (!s->ar_flip_flop) {
        put(status | SAMSARA_REGISTER_READ, 0);
    }
}

static void put_palette(const VGACommonState *s)
{
    unsigned i;

    put(VGA_PEL_IW, 0);
    for (i = 0; i < sizeof(s->palette); i++) {
        put(VGA_PEL_D, s->palette[i]);
    }
    put(VGA_PEL_IW, s->dac_write_index);
}

static void put_vbe(const VGACommonState *s)
{
    /* what enabling it sets comes after that */
    static const uint8_t order[] = {
        VBE_DISPI_INDEX_ID, VBE_DISPI_INDEX_XRES, VBE_DISPI_INDEX_YRES,
        VBE_DISPI_INDEX_BPP, VBE_DISPI_INDEX_ENABLE, VBE_DISPI_INDEX_BANK,
        VBE_DISPI_INDEX_VIRT_WIDTH, VBE_DISPI_INDEX_X_OFFSET,
        VBE_DISPI_INDEX_Y_OFFSET,
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(order); i++) {
        put(VBE_INDEX_PORT, order[i]);
        put(VBE_DATA_PORT, s->vbe_regs[order[i]]);
    }
    put(VBE_INDEX_PORT, s->vbe_index);
}

/* All registers as they are, by what a guest would write to have that. */
void samsara_screen_save(void)
{
    const VGACommonState *s = recorded;

    if (!watcher || !changed) {
        return;
    }
    put(VGA_MIS_W, s->msr);
    put_vbe(s);
    put_indexed(VGA_SEQ_I, s->sr, VGA_SEQ_C, s->sr_index);
    put_indexed(VGA_GFX_I, s->gr, VGA_GFX_C, s->gr_index);
    put_crt(s);
    put_palette(s);
    put_attributes(s);
}

/* Replay */

static void apply(VGACommonState *s, uint32_t port, uint32_t value)
{
    if (port == SAMSARA_REGISTER_RESET) {
        vga_common_reset(s);
    } else if (port & SAMSARA_REGISTER_READ) {
        vga_ioport_read(s, port & ~SAMSARA_REGISTER_READ);
    } else if (port == VBE_INDEX_PORT) {
        vbe_ioport_write_index(s, 0, value);
    } else if (port == VBE_DATA_PORT) {
        /* what is cleared then is the guest's memory, which is as it was */
        vbe_ioport_write_data(s, 0, s->vbe_index == VBE_DISPI_INDEX_ENABLE
                                    ? value | VBE_DISPI_NOCLEARMEM : value);
    } else {
        vga_ioport_write(s, port, value);
    }
}

static void read_note(void)
{
    struct smr_note_place place;

    do {
        if (smr_notes_next(screen.notes, &screen.next, &place, NULL) <= 0) {
            screen.next.kind = 0;
            return;
        }
    } while (screen.next.kind != SMR_NOTE_REGISTER ||
             screen.next.device != screen.output);
}

static void catch_up(void)
{
    struct kvm_samsara_status st;

    if (samsara_device_status(&st) < 0) {
        return;
    }
    while (screen.next.kind && screen.next.commit <= st.commits) {
        apply(&screen.vga, screen.next.position, screen.next.crc);
        read_note();
    }
}

static void update(void *opaque)
{
    catch_up();
    /* nobody notes what the guest has written to the card's memory */
    memory_region_set_dirty(&screen.vga.vram, 0, screen.vga.vram_size);
    screen.vga.plane_updated = 0xf;
    screen.vga.hw_ops->gfx_update(&screen.vga);
}

static void invalidate(void *opaque)
{
    screen.vga.hw_ops->invalidate(&screen.vga);
}

static void update_text(void *opaque, console_ch_t *text)
{
    catch_up();
    screen.vga.hw_ops->text_update(&screen.vga, text);
}

/* "screen RAM SIZE", which no other recording has */
static bool find_screen(const char *text, uint64_t *ram, uint64_t *size,
                        Error **errp)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    const char *end;
    uint32_t i;

    for (i = 0; lines[i] && *lines[i]; i++) {
        if (!g_str_has_prefix(lines[i], "screen ")) {
            continue;
        }
        if (qemu_strtou64(lines[i] + strlen("screen "), &end, 0, ram) < 0 ||
            *end != ' ' || qemu_strtou64(end + 1, NULL, 0, size) < 0 ||
            !is_power_of_2(*size) || *size < 1 * MiB || *size > 512 * MiB) {
            error_setg(errp, "%s: bad line in the list of outputs",
                       samsara_opts.replay);
            return false;
        }
        screen.output = i;
        return true;
    }
    return false;
}

static bool open_notes(Error **errp)
{
    struct smr_err err = { };

    if (smr_notes_open(&screen.notes, samsara_opts.reader, &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return false;
    }
    read_note();
    return true;
}

static bool create(uint64_t ram, uint64_t size, Error **errp)
{
    SamsaraBlock *b = samsara_ram_at(ram);
    VGACommonState *s = &screen.vga;

    if (!b || size > b->size - (ram - b->ram)) {
        error_setg(errp, "%s: the screen is in memory that the guest has not",
                   samsara_opts.replay);
        return false;
    }
    s->vram_size_mb = size / MiB;
    s->global_vmstate = true;
    if (!vga_common_init(s, OBJECT(current_machine), errp)) {
        return false;
    }
    s->vram_ptr = b->host + (ram - b->ram);
    vga_common_reset(s);
    screen.ops = (GraphicHwOps) {
        .invalidate = invalidate,
        .gfx_update = update,
        .text_update = update_text,
    };
    s->con = graphic_console_init(NULL, 0, &screen.ops, s);
    return open_notes(errp);
}

bool samsara_screen_create(Error **errp)
{
    ERRP_GUARD();
    g_autofree char *text = NULL;
    uint64_t ram, size;

    /* an older recording may have none */
    text = samsara_read_text("outputs", NULL);
    if (!text || !find_screen(text, &ram, &size, errp)) {
        return !*errp;
    }
    return create(ram, size, errp);
}

bool samsara_screen_rewind(Error **errp)
{
    if (!screen.notes) {
        return true;
    }
    smr_notes_close(screen.notes);
    screen.notes = NULL;
    vga_common_reset(&screen.vga);
    return open_notes(errp);
}
