import ApusData
import ApusGraph
import ApusRuntime
import ApusTensor

/// Finds where a network looks for a class.
///
/// A class activation map (Zhou, Khosla, Lapedriza, Oliva, Torralba: "Learning Deep Features for
/// Discriminative Localization", 2016) adds up the images of the last layer, each with the weight the
/// class gives to its mean; that needs a network that ends in global average pooling and one dense
/// layer. Grad-CAM (Selvaraju et al. 2017) weighs the images of any layer by the mean gradient of
/// the class's logit; on the last layer of such a network it is the same map, up to a factor.
public final class ClassActivation {
    public enum Method: String, Hashable, Sendable {
        case classActivationMap = "CAM"
        case gradCAM = "Grad-CAM"
    }

    /// What a layer's images say of one class.
    public struct Result: Sendable {
        public let label: Int
        public let logits: [Float]
        /// In the resolution of the layer. Below zero is what speaks against the class; Grad-CAM leaves
        /// that out.
        public let map: HeatMap
    }

    public let method: Method
    /// The path of the layer whose images are added up.
    public let layer: String
    private let session: Session
    /// [classes, channels] of the dense layer, for class activation maps.
    private let weights: Tensor?

    /// - Parameters:
    ///   - layer: whose images are looked at; by default the last with more than one pixel
    ///   - method: by default a class activation map of the last layer where the network allows it
    ///
    /// Throws a `GraphError` for layers that are not there and a `TrainingError` where the method
    /// does not fit.
    public init(
        _ network: Network, parameters: ParameterStore, layer: String? = nil,
        method: Method? = nil, configuration: Session.Configuration = .init()
    ) throws {
        let pooled = network.pooledLayer
        self.layer = try layer ?? pooled?.path ?? network.lastImageLayer()
        let isPooled = pooled?.path == self.layer
        self.method = method ?? (isPooled ? .classActivationMap : .gradCAM)
        var graph = try network.features(at: [self.layer, "logits"])
        guard let value = graph.outputs[self.layer], graph.shape(value).rank == 4 else {
            throw TrainingError("\(self.layer) of \(network.name) does not make images")
        }
        switch self.method {
        case .classActivationMap:
            guard isPooled, let pooled else {
                throw TrainingError(
                    "\(network.name) has no class activation maps of \(self.layer): they need "
                        + "global average pooling and one dense layer behind it; use Grad-CAM")
            }
            weights = parameters.tensor(pooled.weights)
        case .gradCAM:
            weights = nil
            graph = try graph.backpropagated(to: [self.layer])
        }
        session = try Session(graph, parameters: parameters, configuration: configuration)
    }

    /// The map of `label`, by default the class with the largest logit, for one image
    /// [channels, height, width].
    public func map(_ image: [Float], label: Int? = nil) -> Result {
        session.setInput("images", image)
        if weights == nil { setSeed(label) }
        session.run()
        let logits = session.output("logits").elements
        let given = label
        let label = given ?? logits.indices.max { logits[$0] < logits[$1] } ?? 0
        if let weights {
            let channels = weights.shape[1]
            let own = weights.elements[label * channels..<(label + 1) * channels]
            return Result(label: label, logits: logits, map: combination(own.map(Double.init)))
        }
        if given == nil {
            // The class is known only now. What lay in an input's place may have been overwritten.
            setSeed(label)
            session.setInput("images", image)
            session.run()
        }
        let gradient = session.output("gradient " + layer)
        let pixels = gradient.shape[2] * gradient.shape[3]
        let means = (0..<gradient.shape[1]).map { channel in
            gradient.elements[channel * pixels..<(channel + 1) * pixels]
                .reduce(0.0) { $0 + Double($1) } / Double(pixels)
        }
        let map = combination(means)
        return Result(
            label: label, logits: logits,
            map: HeatMap(
                height: map.height, width: map.width, values: map.values.map { max($0, 0) }))
    }

    private func setSeed(_ label: Int?) {
        let classes = session.outputShape("logits")[1]
        session.setInput("seed", (0..<classes).map { $0 == label ? Float(1) : 0 })
    }

    /// The layer's images, each times its factor, added up.
    private func combination(_ factors: [Double]) -> HeatMap {
        let features = session.output(layer)
        let pixels = features.shape[2] * features.shape[3]
        var sums = [Double](repeating: 0, count: pixels)
        for (channel, factor) in factors.enumerated() {
            for pixel in 0..<pixels {
                sums[pixel] += factor * Double(features.elements[channel * pixels + pixel])
            }
        }
        return HeatMap(
            height: features.shape[2], width: features.shape[3], values: sums.map { Float($0) })
    }
}

extension Network {
    /// The layer before global average pooling and the weights of the dense layer behind it, where
    /// the network ends in these and nothing that computes is between or after them.
    fileprivate var pooledLayer: (path: String, weights: String)? {
        guard let pooling = layers.lastIndex(of: .globalAveragePool), pooling > 0 else {
            return nil
        }
        var dense: [String] = []
        func visit(_ layer: Layer, _ path: String) -> Bool {
            switch layer {
            case .flatten, .dropout, .identity: return true
            case .dense:
                dense.append(path)
                return true
            case .sequence(let sequence):
                return sequence.layers.enumerated().allSatisfy { index, child in
                    visit(child, child.path(at: index, in: path))
                }
            default: return false
            }
        }
        let isLinear = layers.indices.dropFirst(pooling + 1).allSatisfy {
            visit(layers[$0], layers[$0].path(at: $0, in: ""))
        }
        guard isLinear, dense.count == 1 else { return nil }
        return (layers[pooling - 1].path(at: pooling - 1, in: ""), dense[0] + ".weight")
    }

    /// The last layer at the top whose images have more than one pixel.
    fileprivate func lastImageLayer() throws -> String {
        let paths = layers.enumerated().map { $1.path(at: $0, in: "") }
        let graph = try features(at: paths)
        let last = paths.last { path in
            guard let shape = graph.outputs[path].map({ graph.shape($0) }) else { return false }
            return shape.rank == 4 && shape[2] * shape[3] > 1
        }
        guard let last else {
            throw TrainingError("\(name) has no layer whose images have more than one pixel")
        }
        return last
    }
}
