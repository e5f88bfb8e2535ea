//! Matrices of a model as they stand in its file, and what has to be done to their rows before they can be used.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Result, Tensor, bail};

use super::super::gguf::{Gguf, GgufTensor};

/// Where weights come from.
pub(super) trait Weights {
    /// The tensor of this name as GGUF files call it, with its shape checked; none where there is no such tensor.
    ///
    /// # Errors
    /// It cannot be read, is of a kind that cannot be run, or has another shape.
    fn take(&mut self, name: &str, rows: usize, columns: usize) -> Result<Option<Matrix>>;

    /// Whether there is a tensor of this name.
    fn holds(&self, name: &str) -> bool;

    /// A tensor of a block that was never taken: the model is another one than it was taken for.
    fn unused(&self) -> Option<String>;

    /// As [`Weights::take`] where there must be one.
    ///
    /// # Errors
    /// As [`Weights::take`]; there is none.
    fn require(&mut self, name: &str, rows: usize, columns: usize) -> Result<Matrix> {
        match self.take(name, rows, columns)? {
            Some(matrix) => Ok(matrix),
            None => bail!("it has no tensor {name}"),
        }
    }

    /// Numbers of the vector of this name.
    ///
    /// # Errors
    /// As [`Weights::take`].
    fn vector(&mut self, name: &str, length: usize) -> Result<Option<Vec<f32>>> {
        self.take(name, 1, length)?.map(|matrix| matrix.numbers()).transpose()
    }
}

/// A matrix in the file's own encoding, row after row.
pub(super) struct Matrix {
    kind: GgmlDType,
    rows: usize,
    columns: usize,
    bytes: Vec<u8>,
}

impl Matrix {
    /// `bytes` must be what `rows` times `columns` numbers of `kind` take.
    pub(super) fn new(kind: GgmlDType, rows: usize, columns: usize, bytes: Vec<u8>) -> Result<Self> {
        if !columns.is_multiple_of(kind.block_size()) {
            bail!("rows of {columns} numbers cannot be of the kind {kind:?}, whose blocks have {}", kind.block_size());
        }
        let expected =
            (columns / kind.block_size()).checked_mul(kind.type_size()).and_then(|row| row.checked_mul(rows));
        if expected != Some(bytes.len()) || rows == 0 {
            bail!("{rows} rows of {columns} numbers of the kind {kind:?} in {} bytes", bytes.len());
        }
        Ok(Self { kind, rows, columns, bytes })
    }

    fn row_bytes(&self) -> usize {
        self.bytes.len() / self.rows
    }

    /// Some of the rows.
    pub(super) fn part(&self, rows: Range<usize>) -> Result<Self> {
        let (width, count) = (self.row_bytes(), rows.len());
        match self.bytes.get(rows.start * width..rows.end * width) {
            Some(bytes) => Self::new(self.kind, count, self.columns, bytes.to_vec()),
            None => bail!("rows {rows:?} of {}", self.rows),
        }
    }

    /// With the first `turned` rows of each head in another order: of pairs of neighbours, first all firsts, then all seconds.
    pub(super) fn unpaired(self, heads: usize, turned: usize) -> Self {
        let (width, head_rows) = (self.row_bytes(), self.rows / heads);
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for head in 0..heads {
            let rows = (0..turned).step_by(2).chain((1..turned).step_by(2)).chain(turned..head_rows);
            for row in rows {
                let start = (head * head_rows + row) * width;
                bytes.extend_from_slice(&self.bytes[start..start + width]);
            }
        }
        Self { bytes, ..self }
    }

    /// A row with one number to a row.
    pub(super) fn column(self) -> Result<Self> {
        Self::new(self.kind, self.rows * self.columns, 1, self.bytes)
    }

    /// A column with all numbers in one row.
    pub(super) fn row_again(self) -> Self {
        Self { rows: 1, columns: self.rows, ..self }
    }

    /// As candle multiplies by it.
    pub(super) fn quantized(self, device: &Device) -> Result<QTensor> {
        let storage = QStorage::from_data(Cow::Owned(self.bytes), device, self.kind)?;
        QTensor::new(storage, (self.rows, self.columns))
    }

    /// Its numbers, row after row.
    pub(super) fn numbers(self) -> Result<Vec<f32>> {
        self.quantized(&Device::Cpu)?.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()
    }

    /// Its only row as a tensor. Shape: `(columns,)` f32.
    pub(super) fn row(self, device: &Device) -> Result<Tensor> {
        let columns = self.columns;
        Tensor::from_vec(self.numbers()?, columns, device)
    }
}

/// Weights in a GGUF file.
pub(super) struct GgufWeights {
    gguf: Gguf,
    file: File,
    /// Names that were taken.
    taken: HashSet<String>,
}

impl GgufWeights {
    pub(super) fn open(gguf: Gguf) -> std::io::Result<Self> {
        let file = File::open(gguf.path())?;
        Ok(Self { gguf, file, taken: HashSet::new() })
    }
}

impl Weights for GgufWeights {
    fn take(&mut self, name: &str, rows: usize, columns: usize) -> Result<Option<Matrix>> {
        let Some(tensor) = self.gguf.tensor(name) else { return Ok(None) };
        let GgufTensor { kind, dimensions, start_bytes, length_bytes } = tensor;
        // The first dimension is that of a row.
        let wanted: &[u64] = &[columns as u64, rows as u64];
        let found = dimensions.as_slice();
        if found != wanted && !(rows == 1 && found == [columns as u64]) {
            bail!("{name} has the shape {found:?} instead of {wanted:?}");
        }
        let (Some(kind), Some(length)) = (kind_of(*kind), length_bytes.and_then(|bytes| usize::try_from(bytes).ok()))
        else {
            bail!("{name} is quantised in a way (number {kind}) that this engine does not know");
        };
        // Where a tensor of an unknown kind stands in the table, it was not checked to its end.
        if start_bytes.saturating_add(length as u64) > self.gguf.info().file_bytes {
            bail!("{name} ends behind the end of the file");
        }
        let mut bytes = vec![0; length];
        self.file.seek(SeekFrom::Start(*start_bytes))?;
        self.file.read_exact(&mut bytes)?;
        self.taken.insert(name.to_owned());
        Matrix::new(kind, rows, columns, bytes).map(Some)
    }

    fn holds(&self, name: &str) -> bool {
        self.gguf.tensor(name).is_some()
    }

    fn unused(&self) -> Option<String> {
        let names = self.gguf.tensors().map(|(name, _)| name);
        names.filter(|name| name.starts_with("blk.") && !self.taken.contains(*name)).min().map(str::to_owned)
    }
}

/// What candle can multiply by, by its number in GGUF files.
const fn kind_of(number: u32) -> Option<GgmlDType> {
    Some(match number {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(rows: usize, columns: usize) -> Matrix {
        let bytes = (0..rows * columns).flat_map(|number| (number as f32).to_le_bytes()).collect();
        Matrix::new(GgmlDType::F32, rows, columns, bytes).unwrap()
    }

    #[test]
    fn rows_are_taken_and_put_in_order() {
        assert_eq!(counting(4, 2).part(1..3).unwrap().numbers().unwrap(), [2.0, 3.0, 4.0, 5.0]);
        assert!(counting(4, 2).part(3..5).is_err());
        // Two heads of five rows, of which the first four are turned.
        let unpaired = counting(10, 1).unpaired(2, 4).numbers().unwrap();
        assert_eq!(unpaired, [0.0, 2.0, 1.0, 3.0, 4.0, 5.0, 7.0, 6.0, 8.0, 9.0]);
    }

    #[test]
    fn bytes_that_are_no_such_matrix_are_refused() {
        assert!(Matrix::new(GgmlDType::F32, 2, 2, vec![0; 15]).is_err());
        assert!(Matrix::new(GgmlDType::F32, 0, 2, Vec::new()).is_err());
        assert!(Matrix::new(GgmlDType::Q8_0, 1, 16, vec![0; 17]).is_err());
        assert!(Matrix::new(GgmlDType::Q8_0, usize::MAX, 32, vec![0; 34]).is_err());
    }
}
