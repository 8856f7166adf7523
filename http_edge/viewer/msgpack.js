// Reads MessagePack (github.com/msgpack/msgpack, spec.md), as far as answers use it.

const UTF8 = new TextDecoder();

/**
 * The value in a buffer: maps as objects, binary as Uint8Array views into the buffer. Throws RangeError where it is none.
 * @param {ArrayBuffer} buffer
 */
export function decode(buffer) {
  const view = new DataView(buffer);
  let at = 0;

  const take = (bytes) => {
    at += bytes;
    return at - bytes;
  };
  const bytes = (length) => new Uint8Array(buffer, take(length), length);
  const text = (length) => UTF8.decode(bytes(length));
  const list = (length) => Array.from({ length }, value);
  const map = (length) => {
    const made = {};
    for (let i = 0; i < length; i += 1) {
      const key = value();
      made[key] = value();
    }
    return made;
  };
  const u8 = () => view.getUint8(take(1));
  const u16 = () => view.getUint16(take(2));
  const u32 = () => view.getUint32(take(4));
  const readers = {
    0xc0: () => null,
    0xc2: () => false,
    0xc3: () => true,
    0xc4: () => bytes(u8()),
    0xc5: () => bytes(u16()),
    0xc6: () => bytes(u32()),
    0xca: () => view.getFloat32(take(4)),
    0xcb: () => view.getFloat64(take(8)),
    0xcc: u8,
    0xcd: u16,
    0xce: u32,
    0xcf: () => Number(view.getBigUint64(take(8))),
    0xd0: () => view.getInt8(take(1)),
    0xd1: () => view.getInt16(take(2)),
    0xd2: () => view.getInt32(take(4)),
    0xd3: () => Number(view.getBigInt64(take(8))),
    0xd9: () => text(u8()),
    0xda: () => text(u16()),
    0xdb: () => text(u32()),
    0xdc: () => list(u16()),
    0xdd: () => list(u32()),
    0xde: () => map(u16()),
    0xdf: () => map(u32()),
  };
  function value() {
    const kind = u8();
    if (kind < 0x80) return kind;
    if (kind < 0x90) return map(kind & 15);
    if (kind < 0xa0) return list(kind & 15);
    if (kind < 0xc0) return text(kind & 31);
    if (kind >= 0xe0) return kind - 256;
    if (!readers[kind]) throw new RangeError(`MessagePack type ${kind}`);
    return readers[kind]();
  }
  return value();
}
