import ApusData
import ApusTensor
import Foundation
import Testing

@Suite struct AugmentationTests {
    @Test func recipesOfOldAreStillRead() throws {
        let old = Data(#"{"randomCropPadding":4,"horizontalFlip":true}"#.utf8)
        #expect(try JSONDecoder().decode(Augmentation.self, from: old) == .cropAndFlip)
    }

    @Test func everyPublishedSetIsStored() throws {
        for name in Views.names {
            let views = try Views.named(name)
            #expect(views.count == (name == "supervised" ? 1 : 2))
            for view in views { try view.validate() }
            let data = try JSONEncoder().encode(views)
            #expect(try JSONDecoder().decode([Augmentation].self, from: data) == views)
        }
        let message = dataError(naming: "views") { _ = try Views.named("simsiam") }
        #expect(message.contains("simclr-small-images"))
    }

    @Test func theSetsDifferWhereTheyShould() throws {
        func has(_ name: String, view: Int, _ operation: String) throws -> Bool {
            "\(try Views.named(name)[view].operations)".contains(operation)
        }
        #expect(try has("simclr", view: 1, "blur"))
        #expect(try !has("simclr-small-images", view: 1, "blur"))
        let byol = try Views.named("byol")
        #expect(byol[0] != byol[1])
        #expect(try has("byol", view: 1, "solarize"))
    }

    @Test func operationsComposeByName() throws {
        for first in Augmentation.operationNames {
            for second in Augmentation.operationNames {
                let pair = try Augmentation.composed(of: [first, second])
                try pair.validate()
                #expect(pair != Augmentation())
            }
        }
        let message = dataError(naming: "augmentation") {
            _ = try Augmentation.composed(of: ["crop", "colour"])
        }
        #expect(message.contains("colour") && message.contains("solarize"))
    }

    @Test func grayImagesHaveNoHue() throws {
        let views = try Views.named("simclr")
        let gray = views[0].adapted(toChannels: 1)
        #expect(gray.operations.count == 2)
        #expect(views[0].adapted(toChannels: 3) == views[0])
        #expect(views[0].adaptationNote(channels: 1)?.contains("brightness") == true)
        #expect(views[0].adaptationNote(channels: 3) == nil)
        #expect(Augmentation.cropAndFlip.adaptationNote(channels: 1) == nil)
    }

    @Test func valuesOutOfRangeAreNamed() {
        for (operation, name) in [
            (PixelOperation.grayscale(probability: 1.5), "grayscale"),
            (.blur(sigma: 0...1, kernel: 0.1, probability: 1), "blur"),
            (.blur(sigma: 1...2, kernel: .nan, probability: 1), "blur"),
            (.color(brightness: 1, contrast: 1, saturation: 1, hue: 0.6, probability: 1), "hue"),
            (.noise(deviation: -1...1, probability: 1), "noise"),
            (.cutout(side: 2, probability: 1), "cutout"),
            (.rotation(degrees: 0...1000, probability: 1), "rotation"),
            (.solarize(threshold: -1, probability: .nan), "solarize"),
        ] {
            let message = dataError(naming: "augmentation") {
                try Augmentation(operations: [operation]).validate()
            }
            #expect(message.contains(name))
        }
    }
}
