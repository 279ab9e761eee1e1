//! Shapes of activations and the sliding windows that convolutions and pools share.

/// The shape of one activation tensor: height, width, channels. On the device the layout is HWC
/// (channels innermost), batch 1. A vector is `1 x 1 x channels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels.
    pub channels: usize,
}

impl Shape {
    /// A shape from height, width, channels.
    pub const fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels }
    }

    /// Number of values; with int8 activations also the number of bytes.
    pub const fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// True when the tensor holds no value.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl core::fmt::Display for Shape {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}x{}x{}", self.height, self.width, self.channels)
    }
}

/// Rows and columns added around a tensor before a window slides over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

/// A window that slides over rows and columns, as in ONNX's convolutions and pools.
/// Pairs are `[rows, columns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Extent of the window before dilation.
    pub kernel: [usize; 2],
    /// Step between two positions.
    pub stride: [usize; 2],
    /// Distance between two taps; 1 for a dense window.
    pub dilation: [usize; 2],
    /// Padding around the input.
    pub padding: Padding,
}

impl Window {
    /// A dense window without padding.
    pub const fn new(kernel: [usize; 2], stride: [usize; 2]) -> Self {
        let padding = Padding { top: 0, left: 0, bottom: 0, right: 0 };
        Self { kernel, stride, dilation: [1, 1], padding }
    }

    /// Rows and columns of the output over an input of `height x width` (ONNX with
    /// `ceil_mode = 0`), or `None` when the dilated window does not fit the padded input or a
    /// kernel, stride or dilation is 0.
    pub const fn output(&self, height: usize, width: usize) -> Option<[usize; 2]> {
        let rows = Self::extent(
            height,
            self.padding.top + self.padding.bottom,
            self.kernel[0],
            self.stride[0],
            self.dilation[0],
        );
        let columns = Self::extent(
            width,
            self.padding.left + self.padding.right,
            self.kernel[1],
            self.stride[1],
            self.dilation[1],
        );
        match (rows, columns) {
            (Some(rows), Some(columns)) => Some([rows, columns]),
            _ => None,
        }
    }

    const fn extent(
        size: usize,
        padding: usize,
        kernel: usize,
        stride: usize,
        dilation: usize,
    ) -> Option<usize> {
        if kernel == 0 || stride == 0 || dilation == 0 {
            return None;
        }
        let reach = (kernel - 1) * dilation + 1;
        let padded = size + padding;
        if reach > padded { None } else { Some((padded - reach) / stride + 1) }
    }
}
