/// Published sets of augmentations, one augmentation a view, and single ones by name.
public enum Views {
    /// The names `named(_:)` knows.
    public static let names = ["simclr", "simclr-small-images", "byol", "supervised"]

    /// A published set of views by name.
    ///
    /// - `simclr`: two equal views (Chen et al. 2020, appendix A) with color strength 1,
    /// - `simclr-small-images`: the same without blur and with strength 0.5, for CIFAR
    ///   (appendix B.9),
    /// - `byol`: two views that differ in blur and solarizing (Grill et al. 2020, table 6),
    /// - `supervised`: one view, a random part and mirroring.
    public static func named(_ name: String) throws -> [Augmentation] {
        switch name {
        case "simclr": [Augmentation](repeating: simCLR(strength: 1, blurs: true), count: 2)
        case "simclr-small-images":
            [Augmentation](repeating: simCLR(strength: 0.5, blurs: false), count: 2)
        case "byol": [byol(blur: 1, solarize: 0), byol(blur: 0.1, solarize: 0.2)]
        case "supervised":
            [Augmentation(horizontalFlip: true, randomResizedCrop: RandomResizedCrop())]
        default:
            throw DataError(
                "views", "\"\(name)\" is not a set of views",
                remedy: "use one of \(names.joined(separator: ", "))")
        }
    }

    private static func simCLR(strength: Float, blurs: Bool) -> Augmentation {
        var operations = [
            PixelOperation.simCLRColor(strength: strength), .grayscale(probability: 0.2),
        ]
        if blurs { operations.append(.blur(sigma: 0.1...2, kernel: 0.1, probability: 0.5)) }
        return Augmentation(
            horizontalFlip: true, randomResizedCrop: RandomResizedCrop(), operations: operations)
    }

    private static func byol(blur: Float, solarize: Float) -> Augmentation {
        Augmentation(
            horizontalFlip: true, randomResizedCrop: RandomResizedCrop(),
            operations: [
                .color(
                    brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1, probability: 0.8),
                .grayscale(probability: 0.2),
                .blur(sigma: 0.1...2, kernel: 0.1, probability: blur),
                .solarize(threshold: 0.5, probability: solarize),
            ])
    }
}

extension Augmentation {
    /// The single changes `composed(of:)` knows: those of SimCLR's figure 5, and a few more.
    public static let operationNames = [
        "crop", "flip", "cutout", "color", "grayscale", "sobel", "noise", "blur", "rotate",
        "solarize",
    ]

    /// An augmentation of single changes by name, each of which happens to every image and the
    /// pixel operations in the order given, to study what each contributes.
    ///
    /// `crop` is a random resized crop and `rotate` a quarter, half or three quarter turn.
    public static func composed(of names: [String]) throws -> Augmentation {
        var result = Augmentation()
        for name in names {
            switch name {
            case "crop": result.randomResizedCrop = RandomResizedCrop()
            case "flip": result.horizontalFlip = true
            case "cutout": result.operations.append(.cutout(side: 0.5, probability: 1))
            case "color": result.operations.append(.simCLRColor(probability: 1))
            case "grayscale": result.operations.append(.grayscale(probability: 1))
            case "sobel": result.operations.append(.sobel(probability: 1))
            case "noise":
                result.operations.append(.noise(deviation: 0.02...0.2, probability: 1))
            case "blur":
                result.operations.append(.blur(sigma: 0.1...2, kernel: 0.1, probability: 1))
            case "rotate": result.operations.append(.quarterTurns(probability: 1))
            case "solarize":
                result.operations.append(.solarize(threshold: 0.5, probability: 1))
            default:
                throw DataError(
                    "augmentation", "\"\(name)\" is not an operation",
                    remedy: "use some of \(operationNames.joined(separator: ", "))")
            }
        }
        return result
    }
}
