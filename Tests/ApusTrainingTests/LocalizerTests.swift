import ApusData
import ApusGraph
import ApusTensor
import ApusTraining
import Testing

@Suite struct LocalizerTests {
    /// A network that finds bright pixels: the map of its one class is the image itself.
    private func model(_ temporary: TemporaryFolder) throws -> TrainedModel {
        let network = Network("bright", input: [1, 12, 12]) {
            Convolution("conv", 1, kernel: 1)
            Activation(.relu)
            GlobalAveragePool()
            Flatten()
            Dense("dense", 3)
        }
        var recipe = tinyRecipe(network)
        recipe.epochs = 1
        let folder = temporary.run("run")
        _ = try Trainer(
            recipe, folder: folder, train: Squares(count: 40), test: nil, configuration: .direct)
        let model = try TrainedModel(folder.path)
        try model.parameters.set("conv.weight", Tensor([1, 1, 1, 1], [1]))
        try model.parameters.set("dense.weight", Tensor([3, 1], [-1, 1, 0]))
        try model.parameters.set("dense.bias", Tensor([3], [0, 0, 0]))
        return model
    }

    private func image(_ width: Int, _ height: Int, bright: BoundingBox) -> Image {
        var pixels = [UInt8](repeating: 0, count: width * height)
        for y in bright.top..<bright.top + bright.height {
            for x in bright.left..<bright.left + bright.width { pixels[y * width + x] = 255 }
        }
        return Image(width: width, height: height, channels: 1, pixels: pixels)
    }

    @Test(arguments: [
        // The network's own size, twice as large, twice as large and cut left and right, above and
        // below.
        (12, 12, [3, 5, 4, 2]), (24, 24, [4, 8, 10, 6]), (48, 24, [16, 8, 8, 8]),
        (24, 60, [2, 24, 6, 12]),
    ])
    func boxesAreInPixelsOfTheImage(width: Int, height: Int, box: [Int]) throws {
        let temporary = try TemporaryFolder()
        let localizer = try Localizer(
            Classifier(model(temporary), configuration: .direct), configuration: .direct)
        let bright = BoundingBox(left: box[0], top: box[1], width: box[2], height: box[3])
        let found = try localizer.localize(
            image(width, height, bright: bright), name: "square")
        #expect(found.label == 1)
        #expect(found.box == bright)
        let scale = Double(min(width, height)) / 12
        #expect(found.region.width == 12 * scale && found.region.height == 12 * scale)
        #expect(found.region.left == Double(width - min(width, height)) / 2)
        #expect(found.region.top == Double(height - min(width, height)) / 2)
    }

    @Test func whatSpeaksAgainstAClassHasNoBox() throws {
        let temporary = try TemporaryFolder()
        let localizer = try Localizer(
            Classifier(model(temporary), configuration: .direct), configuration: .direct)
        let bright = BoundingBox(left: 2, top: 2, width: 4, height: 4)
        let found = try localizer.localize(
            image(12, 12, bright: bright), name: "square", label: 0)
        #expect(found.box == nil && found.label == 0)
    }
}
