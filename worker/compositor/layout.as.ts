/**
 * Where things lie in the kernel's memory, in bytes. Sides of pictures are at most 8192 pixels (`LARGEST_SIDE`); pages
 * that are never used cost no memory. What depends on the picture begins at `FREE`, and the host says where.
 */

/** Coding of a component: DC codes, AC codes (256 × u32 each), then 1/divisor of each coefficient as f32. */
export const LUMA: usize = 0x1000;
export const CHROMA: usize = 0x2000;
export const AC_CODES: usize = 0x400;
export const RECIPROCALS: usize = 0x800;

/** Place in the file's order → place in the block, and back: 64 × u8. */
export const ZIGZAG: usize = 0x3000;
export const UNZIGZAG: usize = 0x3040;

/** One MCU: 16×16 samples of Y, 8×8 of Cb and Cr, i16; the 64 coefficients of a block, i16; one row of 16 pixels. */
export const SAMPLES_Y: usize = 0x3100;
export const SAMPLES_CB: usize = 0x3300;
export const SAMPLES_CR: usize = 0x3380;
export const COEFFICIENTS: usize = 0x3400;
export const EDGE_ROW: usize = 0x3480;

/** Rows of a prepared JPEG, i32: 7 values for each row of MCUs. */
export const ROWS: usize = 0x4000;

/** For each column and row of a resized picture: 4 weights as f64, the same as f32, the first source position, i32. */
export const COLUMN_TAPS: usize = 0x10000;
export const ROW_TAPS: usize = 0x80000;
export const WEIGHTS32: usize = 0x40000;
export const FIRST_TAPS: usize = 0x60000;

/** Rows while resizing, f32: four of the source, two blended from them, two of the target. */
export const SOURCE_ROWS: usize = 0x100000;
export const BLENDED_ROWS: usize = 0x180000;
export const TARGET_ROWS: usize = 0x1c0000;
export const FLOAT_ROW_BYTES: usize = 0x20000;

/** The network's picture, the rim of the crop, the crop. */
export const MOUTH: usize = 0x200000;
export const RIM: usize = 0x250000;
export const CROP: usize = 0x260000;

export const FREE: usize = 0x2b0000;
