/// A piece of a page: text or an element with attributes and children. What it renders is well formed
/// as XML and reads the same as HTML.
public indirect enum Markup: Hashable, Sendable {
    case text(String)
    case element(String, [Attribute], [Markup])

    public struct Attribute: Hashable, Sendable {
        let name: String
        let value: String
    }

    /// An element of text alone.
    public static func element(
        _ name: String, _ attributes: KeyValuePairs<String, String> = [:], text: String
    ) -> Markup {
        element(name, attributes, [.text(text)])
    }

    public static func element(
        _ name: String, _ attributes: KeyValuePairs<String, String> = [:],
        _ children: [Markup] = []
    ) -> Markup {
        .element(name, attributes.map { Attribute(name: $0.key, value: $0.value) }, children)
    }

    /// Elements that HTML closes by itself.
    private static let void: Set<String> = ["meta", "img", "br", "link"]

    public var rendered: String {
        var text = ""
        render(into: &text)
        return text
    }

    private func render(into text: inout String) {
        switch self {
        case .text(let words):
            text += Markup.escape(words)
        case .element(let name, let attributes, let children):
            text += "<\(name)"
            for attribute in attributes {
                text += " \(attribute.name)=\"\(Markup.escape(attribute.value))\""
            }
            if Markup.void.contains(name) {
                text += "/>"
                return
            }
            text += ">"
            for child in children { child.render(into: &text) }
            text += "</\(name)>"
        }
    }

    /// Replaces what has a meaning of its own; control characters XML does not know are dropped.
    static func escape(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "\n", "\t": result.unicodeScalars.append(scalar)
            case _ where scalar.value < 0x20 || scalar.value == 0x7F: break
            case "\u{FFFE}", "\u{FFFF}": break
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
