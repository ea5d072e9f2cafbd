import ApusGraph
import ApusTensor

/// Draws graphs that no network description would hold: values read several times, added to
/// themselves, and read by the caller in the middle.
struct RandomGraph {
    private let key: RandomKey
    private var draws = 0
    private var builder: GraphBuilder
    private var images: [ValueID] = []
    private var unread: [ValueID] = []

    init(seed: Int, mode: GraphBuilder.Mode) {
        key = RandomKey(seed: 2015).child("graph").child(seed)
        builder = GraphBuilder(mode: mode)
    }

    private mutating func draw(_ bound: Int) -> Int {
        draws += 1
        return key.integer(below: bound, at: draws)
    }

    private mutating func pick() -> ValueID {
        // Mostly recent values: long chains with some long arms.
        images[max(0, images.count - 1 - draw(draw(2) == 0 ? 2 : images.count))]
    }

    /// A value of the same shape, perhaps the same value.
    private mutating func partner(of x: ValueID) -> ValueID {
        let shape = builder.shape(x)
        let candidates = images.filter { builder.shape($0) == shape }
        return candidates[draw(candidates.count)]
    }

    private mutating func node(_ step: Int) throws(GraphError) {
        let x = pick()
        let path = "n\(step)"
        let shape = builder.shape(x)
        var read = [x]
        let y: ValueID
        switch draw(16) {
        case 0, 1, 2:
            let layer = Convolution(
                4 + 4 * draw(4), kernel: 1 + 2 * draw(2), stride: 1 + draw(2), bias: draw(2) == 0)
            y = try builder.convolution(x, layer, path: path)
        case 3, 4:
            y = try builder.batchNorm(x, BatchNorm(), path: path)
        case 5, 6:
            let function = ActivationFunction.all[draw(ActivationFunction.all.count)]
            y = try builder.append(.activation(function), [x], path: path)[0]
        case 7:
            y = try builder.append(.activation(.relu), [x], path: path)[0]
        case 8, 9, 10:
            read.append(partner(of: x))
            y = try builder.append(.add, read, path: path)[0]
        case 11:
            y = try builder.append(.dropout(rate: 0.5, key: 1), [x], path: path)[0]
        case 12 where shape[2] > 1 && shape[3] > 1:
            let layer: Layer = MaxPool(kernel: 2, stride: 1).layer
            y = try builder.append(layer, to: x, path: path)
        case 13:
            read.append(partner(of: x))
            y = try builder.append(.concatenate, read, path: path)[0]
        case 14:
            let pooled = try builder.append(.globalAveragePool, [x], path: path)[0]
            let scale = try builder.append(.activation(.sigmoid), [pooled], path: path)[0]
            y = try builder.append(.scaleChannels, [x, scale], path: path)[0]
        default:
            let layer: Layer = SubsamplePad(shape[1] + draw(3), stride: 1 + draw(2)).layer
            y = try builder.append(layer, to: x, path: path)
        }
        unread.removeAll { read.contains($0) }
        images.append(y)
        unread.append(y)
        if draw(8) == 0 { builder.output("seen\(step)", y) }
    }

    /// A graph of about `count` operations that ends in a loss, or in logits and features.
    mutating func make(_ count: Int, loss: Bool) throws(GraphError) -> Graph {
        let x = builder.input("images", [2, 3 + draw(6), 6 + draw(4), 6 + draw(4)])
        images = [x]
        unread = [x]
        let stem = try builder.convolution(x, Convolution(8, kernel: 3), path: "stem")
        images.append(stem)
        unread = [stem]
        for step in 0..<count { try node(step) }
        var logits: ValueID?
        for (index, value) in unread.enumerated() {
            let pooled = try builder.append(.globalAveragePool, [value], path: "pool\(index)")[0]
            let flat = try builder.append(.flatten, [pooled], path: "flat\(index)")[0]
            let y = try builder.dense(flat, Dense(5), path: "fc\(index)")
            logits =
                try logits.map { l throws(GraphError) in
                    try builder.append(.add, [l, y], path: "sum\(index)")[0]
                } ?? y
        }
        guard let logits else { return builder.graph }
        if loss {
            _ = try builder.crossEntropy(logits)
        } else {
            // An output that the very last node reads.
            builder.output("logits", logits)
            builder.output(
                "positive", try builder.append(.activation(.relu), [logits], path: "last")[0])
        }
        return builder.graph
    }
}
