import Foundation

/// Colors that tell classes apart.
enum ClassPalette {
    /// The color of class `index` of `count`, as red, green, blue: ten distinct ones, then hues.
    static func color(_ index: Int, of count: Int) -> [UInt8] {
        count <= distinct.count
            ? distinct[index % distinct.count]
            : hue(Double(index) / Double(count), isDark: index % 2 == 1)
    }

    /// The ten of Tableau, which people with any kind of color vision can mostly tell apart.
    private static let distinct: [[UInt8]] = [
        [31, 119, 180], [255, 127, 14], [44, 160, 44], [214, 39, 40], [148, 103, 189],
        [140, 86, 75], [227, 119, 194], [127, 127, 127], [188, 189, 34], [23, 190, 207],
    ]

    /// Neighboring hues alternate in brightness.
    private static func hue(_ turn: Double, isDark: Bool) -> [UInt8] {
        [0.0, 1.0 / 3, 2.0 / 3].map { phase in
            let wave = 0.5 + 0.5 * cos(2 * .pi * (turn - phase))
            return UInt8((isDark ? 150 : 225) * wave + (isDark ? 10 : 25))
        }
    }
}
