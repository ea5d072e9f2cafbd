import ApusData
import ApusFiles
import ApusRuntime
import ApusTensor

extension RunFolder {
    /// For TensorBoard: `tensorboard --logdir RUN`.
    public var eventsPath: String { path + "/events.out.tfevents.apus" }
}

extension Metrics {
    /// The line's numbers under the names TensorBoard groups by.
    var scalars: [(tag: String, value: Double)] {
        let known: [(String, Double?)] = [
            ("loss", loss), ("accuracy", accuracy), ("learning_rate", learningRate),
            ("images_per_second", imagesPerSecond), ("gradient_norm", gradientNorm),
        ]
        return known.compactMap { name, value in value.map { ("\(phase.rawValue)/\(name)", $0) } }
    }
}

extension EventFile {
    func append(_ metrics: Metrics) throws {
        try append(.scalars(metrics.scalars, step: metrics.step, wallTime: EventFile.now))
    }

    /// How the weights of every layer are spread; biases and normalization are left out.
    func appendWeights(of parameters: ParameterStore, step: Int) throws {
        for slot in parameters.parameters where slot.isDecayed {
            let values = UnsafeBufferPointer(
                start: parameters.parameterBlock.base + slot.offset, count: slot.shape.count)
            try append(
                .histogram("weights/\(slot.name)", values, step: step, wallTime: EventFile.now))
        }
    }

    /// Up to 32 images of a batch as the network sees them, eight in a row.
    func appendImages(
        _ batch: Batch, _ preprocessing: Preprocessing, step: Int
    ) throws {
        let sheet = Image.sheet(batch.images, preprocessing, count: 32, columns: 8)
        try append(
            .image(
                "train/images", png: try ImageEncoder.encodePNG(sheet), width: sheet.width,
                height: sheet.height, channels: sheet.channels, step: step, wallTime: EventFile.now)
        )
    }
}

extension Image {
    /// The first images of a normalized batch [N, C, H, W], side by side with their brightness as it
    /// was.
    static func sheet(
        _ images: Tensor, _ preprocessing: Preprocessing, count: Int, columns: Int
    ) -> Image {
        let (channels, height, width) = (images.shape[1], images.shape[2], images.shape[3])
        let count = min(count, images.shape[0])
        let columns = min(columns, count)
        let rows = (count + columns - 1) / columns
        var pixels = [UInt8](repeating: 0, count: rows * height * columns * width * channels)
        for image in 0..<count {
            for channel in 0..<channels {
                let mean = preprocessing.mean[channel]
                let deviation = preprocessing.deviation[channel]
                for place in 0..<height * width {
                    let element =
                        images.elements[(image * channels + channel) * height * width + place]
                    let y = image / columns * height + place / width
                    let x = image % columns * width + place % width
                    pixels[(y * columns * width + x) * channels + channel] = UInt8(
                        min(max((element * deviation + mean) * 255, 0), 255).rounded())
                }
            }
        }
        return Image(
            width: columns * width, height: rows * height, channels: channels, pixels: pixels)
    }
}
