import ApusGraph
import ApusTensor

/// How far features of a layer differ from moving with the image.
struct Equivariance {
    private let lab: LabContext
    /// Black pixels around every image, in which it is moved.
    private let margin: Int

    init(_ lab: LabContext, margin: Int) {
        self.lab = lab
        self.margin = margin
    }

    /// The error of moving features instead of the image, for shifts of 1 to 4.
    func errors(on data: LabData) throws -> [(name: String, errors: [Double])] {
        let kinds: [(String, Int, [Layer])] = [
            ("convolution", 1, [Convolution("conv", 8, kernel: 3).layer]),
            ("stride 2", 2, [Convolution("conv", 8, kernel: 3, stride: 2).layer]),
            ("max pool 2", 2, [MaxPool(kernel: 2).layer]),
            ("average pool 2", 2, [AveragePool(kernel: 2).layer]),
        ]
        let source = try lab.data().test
        func batch(_ right: Int) throws -> Tensor {
            try data.batch(Placed(source: source, margin: margin, right: right), count: 16).images
        }
        let still = try batch(0)
        return try kinds.map { name, stride, layers in
            let features = try Features(
                Network(name, input: data.input) { layers }, batch: still.shape[0],
                configuration: lab.configuration)
            let before = features(still)["logits"] ?? still
            let errors = try (1...4).map { shift in
                let after = features(try batch(shift))["logits"] ?? still
                return movingError(before, after, by: shift / stride)
            }
            return (name, errors)
        }
    }

    /// |after - moved before| / |before| over places more than 4 from the border.
    private func movingError(_ before: Tensor, _ after: Tensor, by shift: Int) -> Double {
        let (height, width) = (before.shape[2], before.shape[3])
        var (difference, size) = (0.0, 0.0)
        for plane in 0..<before.shape[0] * before.shape[1] {
            for y in 4..<height - 4 {
                for x in 4 + shift..<width - 4 {
                    let place = (plane * height + y) * width + x
                    let expected = Double(before.elements[place - shift])
                    let found = Double(after.elements[place])
                    difference += (found - expected) * (found - expected)
                    size += expected * expected
                }
            }
        }
        return (difference / max(size, 1e-30)).squareRoot()
    }
}
