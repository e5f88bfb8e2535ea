//! Keys and values of one sequence: room that grows with it, cut at any token, copied and saved.

use candle_core::{DType, Device, Result, Tensor, bail};
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::ops::with_floats;
use super::shape::Sizes;

/// Tokens for which there is room at first; it doubles from there to the window of the sequence.
pub(super) const FIRST_ROOM_TOKENS: usize = 256;

/// Keys or values of all tokens in one layer, head by head: shape `(kv_heads, room, head_size)` f16.
pub(super) enum Rows {
    /// In the memory of the CPU.
    Cpu(Vec<f16>),
    /// In that of a GPU.
    Gpu(Tensor),
}

/// Keys and values of a sequence.
pub(super) struct Cache {
    heads: usize,
    head_size: usize,
    /// Tokens for which there is room.
    room: usize,
    /// Tokens that are in it.
    length: usize,
    /// Keys and values of each layer.
    layers: Vec<(Rows, Rows)>,
    device: Device,
}

impl Cache {
    pub(super) fn new(sizes: &Sizes, device: &Device) -> Result<Self> {
        let Sizes { kv_heads: heads, head_size, blocks, .. } = *sizes;
        let rows = || empty(heads, 0, head_size, device);
        let layers = (0..blocks).map(|_| Ok((rows()?, rows()?))).collect::<Result<_>>()?;
        Ok(Self { heads, head_size, room: 0, length: 0, layers, device: device.clone() })
    }

    /// Tokens that are in it.
    pub(super) const fn length(&self) -> usize {
        self.length
    }

    /// Tokens for which there is room.
    pub(super) const fn room(&self) -> usize {
        self.room
    }

    /// Keys and values of a layer.
    pub(super) fn layer(&self, block: usize) -> &(Rows, Rows) {
        &self.layers[block]
    }

    /// Forgets what stands behind the first `tokens` tokens.
    pub(super) fn truncate(&mut self, tokens: usize) {
        self.length = self.length.min(tokens);
    }

    /// So many tokens have been written behind the last one.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.length += tokens;
    }

    /// Makes room for `tokens` tokens in all, of at most `most`.
    pub(super) fn reserve(&mut self, tokens: usize, most: usize) -> Result<()> {
        if tokens <= self.room {
            return Ok(());
        }
        let mut room = self.room.max(FIRST_ROOM_TOKENS);
        while room < tokens {
            room *= 2;
        }
        let room = room.min(most.max(tokens));
        let mut larger = Self { room, layers: Vec::with_capacity(self.layers.len()), ..self.shell() };
        for (keys, values) in &self.layers {
            let grown = |rows: &Rows| -> Result<Rows> {
                let mut grown = empty(self.heads, room, self.head_size, &self.device)?;
                self.copy_rows(rows, &mut grown, room)?;
                Ok(grown)
            };
            larger.layers.push((grown(keys)?, grown(values)?));
        }
        *self = larger;
        Ok(())
    }

    /// The same sizes and length without anything in it.
    fn shell(&self) -> Self {
        let Self { heads, head_size, room, length, ref device, .. } = *self;
        Self { heads, head_size, room, length, layers: Vec::new(), device: device.clone() }
    }

    /// Copies what is in use of `from` into `to`, which has room for `room` tokens.
    fn copy_rows(&self, from: &Rows, to: &mut Rows, room: usize) -> Result<()> {
        if self.length == 0 {
            return Ok(());
        }
        match (from, to) {
            (Rows::Cpu(from), Rows::Cpu(to)) => {
                let used = self.length * self.head_size;
                for head in 0..self.heads {
                    let (start, end) = (head * self.room * self.head_size, head * room * self.head_size);
                    to[end..end + used].copy_from_slice(&from[start..start + used]);
                }
                Ok(())
            }
            (Rows::Gpu(from), Rows::Gpu(to)) => to.slice_set(&from.narrow(1, 0, self.length)?.contiguous()?, 1, 0),
            _ => bail!("a cache in two kinds of memory"),
        }
    }

    /// Makes `to` hold the first `tokens` tokens and nothing else.
    pub(super) fn copy_to(&self, to: &mut Self, tokens: usize, most: usize) -> Result<()> {
        to.length = 0;
        to.reserve(tokens, most)?;
        let mut part = self.shell();
        part.length = self.length.min(tokens);
        for ((keys, values), (to_keys, to_values)) in self.layers.iter().zip(&mut to.layers) {
            part.copy_rows(keys, to_keys, to.room)?;
            part.copy_rows(values, to_values, to.room)?;
        }
        to.length = part.length;
        Ok(())
    }

    /// Writes keys and values of some tokens of a layer behind those that are in it; there must be room.
    ///
    /// Shape of both: `(tokens, kv_heads, head_size)` f32.
    pub(super) fn write(&mut self, block: usize, keys: &Tensor, values: &Tensor) -> Result<()> {
        let (at, room, size, heads) = (self.length, self.room, self.head_size, self.heads);
        let tokens = keys.dim(0)?;
        if at + tokens > room {
            bail!("{tokens} tokens behind {at} in a cache for {room}");
        }
        let (own_keys, own_values) = &mut self.layers[block];
        for (new, rows) in [(keys, own_keys), (values, own_values)] {
            match rows {
                Rows::Cpu(rows) => with_floats(new, |new| {
                    for (token, numbers) in new.chunks_exact(heads * size).enumerate() {
                        for (head, numbers) in numbers.chunks_exact(size).enumerate() {
                            let start = (head * room + at + token) * size;
                            rows[start..start + size].convert_from_f32_slice(numbers);
                        }
                    }
                    Ok(())
                })?,
                Rows::Gpu(rows) => {
                    let new = new.to_dtype(DType::F16)?.transpose(0, 1)?.contiguous()?;
                    rows.slice_set(&new, 1, at)?;
                }
            }
        }
        Ok(())
    }

    /// Bytes of a saved sequence of so many tokens.
    pub(super) fn state_bytes(&self, tokens: usize) -> usize {
        self.layers.len() * 2 * self.heads * tokens * self.head_size * size_of::<f16>()
    }

    /// What is in it, layer by layer, keys before values, head by head.
    pub(super) fn state(&self) -> Result<Vec<u8>> {
        let mut state = Vec::with_capacity(self.state_bytes(self.length));
        let used = self.length * self.head_size;
        for rows in self.layers.iter().flat_map(|(keys, values)| [keys, values]) {
            let mut put = |numbers: &[f16]| numbers.iter().for_each(|number| state.extend(number.to_le_bytes()));
            match rows {
                Rows::Cpu(rows) => {
                    for head in 0..self.heads {
                        put(&rows[head * self.room * self.head_size..][..used]);
                    }
                }
                Rows::Gpu(_) if self.length == 0 => {}
                Rows::Gpu(rows) => put(&rows.narrow(1, 0, self.length)?.flatten_all()?.to_vec1::<f16>()?),
            }
        }
        Ok(state)
    }

    /// Puts a saved state of `tokens` tokens in the place of what is in it.
    pub(super) fn restore(&mut self, state: &[u8], tokens: usize, most: usize) -> Result<()> {
        self.length = 0;
        if state.len() != self.state_bytes(tokens) {
            bail!("{} bytes for {tokens} tokens, which take {}", state.len(), self.state_bytes(tokens));
        }
        self.reserve(tokens, most)?;
        let (heads, size, room) = (self.heads, self.head_size, self.room);
        let used = tokens * size;
        let mut numbers = state.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes));
        for rows in self.layers.iter_mut().flat_map(|(keys, values)| [keys, values]) {
            match rows {
                Rows::Cpu(rows) => {
                    for head in 0..heads {
                        let place = &mut rows[head * room * size..][..used];
                        place.iter_mut().zip(&mut numbers).for_each(|(place, number)| *place = number);
                    }
                }
                Rows::Gpu(_) if tokens == 0 => {}
                Rows::Gpu(rows) => {
                    let part: Vec<f16> = numbers.by_ref().take(heads * used).collect();
                    rows.slice_set(&Tensor::from_vec(part, (heads, tokens, size), rows.device())?, 1, 0)?;
                }
            }
        }
        self.length = tokens;
        Ok(())
    }
}

fn empty(heads: usize, room: usize, head_size: usize, device: &Device) -> Result<Rows> {
    if device.is_cpu() {
        return Ok(Rows::Cpu(vec![f16::ZERO; heads * room * head_size]));
    }
    Ok(Rows::Gpu(Tensor::zeros((heads, room.max(1), head_size), DType::F16, device)?))
}
