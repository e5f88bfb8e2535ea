//! The tensor table of a GGUF file: names, extents, types and places, checked against each other and the length of the file.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::{Cursor, Fault, GgufTensor, MAX_KEY_BYTES};

/// Most dimensions of a tensor.
const MAX_DIMENSIONS: u32 = 4;

/// Elements of a block and bytes of a block of tensor type `kind`.
const fn tensor_block(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        0 | 26 => (1, 4),
        1 | 25 | 30 => (1, 2),
        2 | 20 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        9 => (32, 36),
        10 => (256, 84),
        11 | 21 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        15 => (256, 292),
        16 | 35 => (256, 66),
        17 => (256, 74),
        18 => (256, 98),
        19 => (256, 50),
        22 => (256, 82),
        23 => (256, 136),
        24 => (1, 1),
        27 | 28 => (1, 8),
        29 => (256, 56),
        34 => (256, 54),
        39 => (32, 17),
        _ => return None,
    })
}

/// The tensor table.
pub(super) struct Table {
    pub(super) tensors: BTreeMap<String, GgufTensor>,
    pub(super) parameter_count: u64,
    pub(super) data_end_bytes: u64,
}

impl<R: Read + Seek> Cursor<R> {
    pub(super) fn tensors(&mut self, count: u64, alignment: u64) -> Result<Table, Fault> {
        let mut tensors = BTreeMap::new();
        let mut parameters: u64 = 0;
        // End of the furthest tensor, counted from the start of the data; `None` once a type is unknown.
        let mut furthest: Option<u64> = Some(0);
        let mut last_start: u64 = 0;
        for _ in 0..count {
            let name = self.text(MAX_KEY_BYTES, "a tensor name")?;
            let dimensions = self.u32(&name)?;
            if dimensions > MAX_DIMENSIONS {
                return self.fault(format!("tensor {name} has {dimensions} dimensions,"));
            }
            let mut elements: u64 = 1;
            let mut extents = Vec::new();
            for _ in 0..dimensions {
                let extent = self.u64(&name)?;
                extents.push(extent);
                match elements.checked_mul(extent) {
                    Some(product) if extent > 0 => elements = product,
                    _ => return self.fault(format!("tensor {name} has a dimension of {extent},")),
                }
            }
            let kind = self.u32(&name)?;
            let start = self.u64(&name)?;
            if start % alignment != 0 {
                return self.fault(format!("tensor {name} starts at {start}, not aligned to {alignment},"));
            }
            let size = match tensor_block(kind) {
                Some((block, bytes)) => match (elements / block).checked_mul(bytes) {
                    Some(size) if elements.is_multiple_of(block) => Some(size),
                    _ => return self.fault(format!("tensor {name} has {elements} elements of type {kind},")),
                },
                None => None,
            };
            let end = match size {
                Some(size) => match start.checked_add(size) {
                    Some(end) => Some(end),
                    None => return self.fault(format!("tensor {name} ends beyond all numbers,")),
                },
                None => None,
            };
            last_start = last_start.max(start);
            furthest = furthest.zip(end).map(|(furthest, end)| furthest.max(end));
            parameters = parameters.saturating_add(elements);
            let tensor = GgufTensor { kind, dimensions: extents, start_bytes: start, length_bytes: size };
            if tensors.contains_key(&name) {
                return self.fault(format!("the tensor {name} appears twice, the second time"));
            }
            tensors.insert(name, tensor);
        }
        // Tensors that share bytes could ask for more memory than the file is long.
        let mut places: Vec<(u64, u64)> = tensors
            .values()
            .filter_map(|tensor: &GgufTensor| Some((tensor.start_bytes, tensor.length_bytes?)))
            .collect();
        places.sort_unstable();
        if places.windows(2).any(|pair| matches!(pair, [(start, length), (next, _)] if start + length > *next)) {
            return self.fault("two tensors share bytes; the table ends");
        }
        let data_start = self.offset.next_multiple_of(alignment);
        let end = data_start.saturating_add(furthest.unwrap_or(last_start));
        if count > 0 && end > self.length {
            return Err(Fault::Format(format!(
                "truncated: its tensors end at byte {end}, the file has {} bytes",
                self.length
            )));
        }
        for tensor in tensors.values_mut() {
            tensor.start_bytes = tensor.start_bytes.saturating_add(data_start);
        }
        let data_end_bytes = if furthest.is_some() { end } else { 0 };
        Ok(Table { tensors, parameter_count: parameters, data_end_bytes })
    }
}
