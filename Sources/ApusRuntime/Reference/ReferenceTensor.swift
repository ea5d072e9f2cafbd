import ApusTensor

/// A shape and its elements in row-major order.
struct ReferenceTensor {
    let shape: Shape
    var elements: [Double]

    init(_ shape: Shape, _ elements: [Double]) {
        precondition(
            shape.count == elements.count, "\(elements.count) elements do not fill \(shape)")
        self.shape = shape
        self.elements = elements
    }

    init(_ shape: Shape, repeating value: Double = 0) {
        self.init(shape, [Double](repeating: value, count: shape.count))
    }

    subscript(index: Int) -> Double {
        get { elements[index] }
        set { elements[index] = newValue }
    }
}

/// The row-major index arithmetic of four dimensions: of images, and of convolution weights.
struct Grid {
    let batch: Int
    let channels: Int
    let height: Int
    let width: Int

    init(_ shape: Shape) {
        precondition(shape.rank == 4, "\(shape) is not an image")
        batch = shape[0]
        channels = shape[1]
        height = shape[2]
        width = shape[3]
    }

    /// Pixels of one channel.
    var plane: Int { height * width }
    /// Values of one channel over the batch.
    var perChannel: Int { batch * plane }

    @inline(__always)
    func index(_ n: Int, _ c: Int, _ y: Int, _ x: Int) -> Int {
        ((n * channels + c) * height + y) * width + x
    }

    /// The indices of all pixels of one channel of one image.
    func pixels(_ n: Int, _ c: Int) -> Range<Int> {
        let start = index(n, c, 0, 0)
        return start..<start + plane
    }
}

extension ReferenceExecutor {
    static func map(_ x: ReferenceTensor, _ function: (Double) -> Double) -> ReferenceTensor {
        ReferenceTensor(x.shape, x.elements.map(function))
    }

    static func combine(
        _ a: ReferenceTensor, _ b: ReferenceTensor, _ function: (Double, Double) -> Double
    ) -> ReferenceTensor {
        precondition(a.shape == b.shape, "operands of \(a.shape) and \(b.shape)")
        return ReferenceTensor(a.shape, a.elements.indices.map { function(a[$0], b[$0]) })
    }
}

extension ReferenceTensor {
    /// Rounds every element to 8 bits of precision, ties to even.
    mutating func roundToBrainFloats() {
        for i in elements.indices {
            let bits = Float(elements[i]).bitPattern
            let rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF_0000
            elements[i] = Double(Float(bitPattern: rounded))
        }
    }
}
