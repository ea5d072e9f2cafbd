import ApusFiles
import ApusModels
import ApusTensor
import ApusTraining
import Foundation
import Testing

/// The names are those of efficientnet-lite0-57934424.pth and efficientnet-b0-355c32eb.pth, made here
/// by their rules: blocks numbered through, parts by name.
@Suite struct EfficientNetNamesTests {
    private func theirs(blocks: [(expands: Bool, count: Int)], squeezes: Bool) -> [String] {
        func norm(_ name: String) -> [String] {
            ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"].map {
                "\(name).\($0)"
            }
        }
        var names = ["_conv_stem.weight"] + norm("_bn0")
        var index = 0
        for stage in blocks {
            for _ in 0..<stage.count {
                let block = "_blocks.\(index)"
                if stage.expands {
                    names += ["\(block)._expand_conv.weight"] + norm("\(block)._bn0")
                }
                names += ["\(block)._depthwise_conv.weight"] + norm("\(block)._bn1")
                if squeezes {
                    for part in ["_se_reduce", "_se_expand"] {
                        names += ["\(block).\(part).weight", "\(block).\(part).bias"]
                    }
                }
                names += ["\(block)._project_conv.weight"] + norm("\(block)._bn2")
                index += 1
            }
        }
        return names + ["_conv_head.weight"] + norm("_bn1") + ["_fc.weight", "_fc.bias"]
    }

    @Test(arguments: [("efficientnet-lite0", false), ("efficientnet-b0", true)])
    func everyNameIsTranslated(model: String, squeezes: Bool) throws {
        let blocks = [1, 2, 2, 3, 3, 4, 1].enumerated().map { (expands: $0 > 0, count: $1) }
        let names = theirs(blocks: blocks, squeezes: squeezes)
        let empty = StoredTensor(dataType: .float32, shape: [0], bytes: Data())
        let file = TensorFile(tensors: names.map { ($0, empty) })
        let graph = try Models.named(model).graph(batch: 1, mode: .inference)
        let translated = EfficientNetNames.translate(file, for: graph.parameters.map(\.name))
        let wanted = Set(graph.parameters.map(\.name) + graph.buffers.map(\.name))
        let found = translated.names.filter { !$0.hasSuffix("num_batches_tracked") }
        #expect(Set(found) == wanted && found.count == wanted.count)
        // Some by hand: the first block of stage 2 is block 1, its depthwise convolution the second.
        let pairs = Dictionary(uniqueKeysWithValues: zip(names, translated.names))
        #expect(pairs["_blocks.0._depthwise_conv.weight"] == "features.1.0.block.0.0.weight")
        #expect(pairs["_blocks.1._depthwise_conv.weight"] == "features.2.0.block.1.0.weight")
        #expect(pairs["_blocks.2._bn0.running_var"] == "features.2.1.block.0.1.running_var")
        #expect(
            pairs["_blocks.15._bn2.bias"]
                == "features.7.0.block.\(squeezes ? 3 : 2).1.bias")
        #expect(
            pairs["_blocks.4._se_reduce.weight"]
                == (squeezes ? "features.3.1.block.2.fc1.weight" : nil))
    }

    @Test func otherFilesAndNetworksStayAsTheyAre() throws {
        let empty = StoredTensor(dataType: .float32, shape: [0], bytes: Data())
        let own = TensorFile(tensors: [("features.0.0.weight", empty)])
        let graph = try Models.named("efficientnet-b0").graph(batch: 1, mode: .inference)
        #expect(
            EfficientNetNames.translate(own, for: graph.parameters.map(\.name)).names == own.names)
        let foreign = TensorFile(tensors: [("_conv_stem.weight", empty)])
        let other = try Models.named("resnet18").graph(batch: 1, mode: .inference)
        #expect(
            EfficientNetNames.translate(foreign, for: other.parameters.map(\.name)).names
                == foreign.names)
    }
}
