import ApusData
import ApusTensor

extension Experiment {
    /// The picture someone gave, or the lab's cat: gray, [1, 1, 128, 128], in 0...1.
    ///
    /// The cat is Chelsea, photographed by Stéfan van der Walt, who gave all rights up (CC0); the
    /// middle of scikit-image's `chelsea.png`, made gray and smaller.
    func photo(_ lab: LabContext, side: Int = 128) throws -> Tensor {
        let image =
            try lab.options.photo.map { try ImageDecoder().decode(contentsOf: $0) }
            ?? ImageDecoder().decode(PackageResources.chelsea_jpg, name: "chelsea.jpg")
        let preprocessing = Preprocessing(
            channels: 1, resize: .shortSide(side), crop: ImageSize(side), mean: [0], deviation: [1])
        let transform = try ImageTransform(preprocessing: preprocessing, output: ImageSize(side))
        let scratch = TransformScratch()
        let pixels = try [Float](unsafeUninitializedCapacity: transform.count) { target, filled in
            guard let base = target.baseAddress else { return }
            try transform.write(
                image, name: lab.options.photo ?? "chelsea.jpg", key: nil, to: base,
                scratch: scratch)
            filled = transform.count
        }
        return Tensor([1, 1, side, side], pixels)
    }
}

extension Tensor {
    /// The correlation of neighbouring numbers in all planes [N, C, H, W], each about its own mean:
    /// about 0 for noise, 1 for what is smooth.
    var neighbourCorrelation: Double {
        var (product, square, pairs, count) = (0.0, 0.0, 0.0, 0.0)
        for image in 0..<shape[0] {
            for channel in 0..<shape[1] {
                let plane = plane(image, channel).map(Double.init)
                let mean = plane.reduce(0, +) / Double(plane.count)
                for (index, value) in plane.enumerated() {
                    square += (value - mean) * (value - mean)
                    count += 1
                    for (isInside, next) in [
                        (index % shape[3] + 1 < shape[3], index + 1),
                        (index + shape[3] < plane.count, index + shape[3]),
                    ] where isInside {
                        product += (value - mean) * (plane[next] - mean)
                        pairs += 1
                    }
                }
            }
        }
        return square > 0 ? product / pairs / (square / count) : 0
    }
}
