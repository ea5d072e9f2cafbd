/// A page that needs nothing but itself: styles and pictures are inside.
public struct Page: Sendable {
    public var title: String
    public var body: [Markup]

    public init(_ title: String, _ body: [Markup]) {
        self.title = title
        self.body = body
    }

    public static func heading(_ words: String) -> Markup { .element("h2", text: words) }
    public static func paragraph(_ words: String) -> Markup { .element("p", text: words) }
    public static func code(_ words: String) -> Markup {
        .element("pre", [:], [.element("code", text: words)])
    }

    public static func list(_ items: [String]) -> Markup {
        .element("ul", [:], items.map { .element("li", text: $0) })
    }

    public var html: String {
        let head: [Markup] = [
            .element("meta", ["charset": "utf-8"]),
            .element(
                "meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"]),
            .element("title", text: title),
            .element("style", text: Page.style),
        ]
        let main = Markup.element("main", [:], [.element("h1", text: title)] + body)
        return "<!DOCTYPE html>\n"
            + Markup.element(
                "html", ["lang": "en"],
                [.element("head", [:], head), .element("body", [:], [main])]
            ).rendered + "\n"
    }

    /// Colors after Okabe and Ito 2008, which people who confuse red and green can tell apart;
    /// brighter ones on a dark page. No character here needs escaping.
    private static let style = """
        :root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--soft:#5a636e;--rule:#d9dee4;
        --box:#f4f6f8;--c0:#0072b2;--c1:#d55e00;--c2:#00845f;--c3:#a8467f;--c4:#b07800;--c5:#3a8fc8;
        --c6:#6b4fa0;--c7:#444c55;--good:#00704f;--bad:#b3261e;--open:#8a5a00}
        @media (prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e8ebef;--soft:#a3adb8;
        --rule:#333a42;--box:#1e2329;--c0:#56b4e9;--c1:#ff8a4c;--c2:#2fc79b;--c3:#e79ac6;--c4:#f0b840;
        --c5:#9bd7ff;--c6:#b8a2ec;--c7:#c3cad2;--good:#4cd2a4;--bad:#ff8a80;--open:#f0b840}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--paper);color:var(--ink);
        font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}
        main{max-width:1120px;margin:0 auto;padding:16px 20px 60px}
        h1{font-size:1.8rem;line-height:1.2;margin:.6em 0 .4em}
        h2{font-size:1.25rem;margin:2em 0 .5em;border-bottom:1px solid var(--rule)}
        p,ul,pre{max-width:72ch}a{color:var(--c0)}
        .claim{font-size:1.15rem;border-left:4px solid var(--c0);padding:.1em 0 .1em .8em}
        .verdict{display:inline-block;padding:.25em .8em;border-radius:6px;border:2px solid;
        font-weight:700;margin:.3em 0}
        .holds{color:var(--good)}.fails{color:var(--bad)}.undecided{color:var(--open)}
        .figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:16px}
        .wide{grid-column:1/-1}
        figure{margin:0 0 16px;padding:12px;background:var(--box);border-radius:8px;min-width:0}
        .figures figure{margin:0}
        figcaption{font-weight:600;margin-bottom:.4em}
        svg{display:block;width:100%;max-width:720px;height:auto}
        .multiples{display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:12px}
        .legend{margin:.2em 0;max-width:none;font-size:.85rem}.legend span{white-space:nowrap;margin-right:1.1em}
        .legend svg{display:inline-block;width:24px;height:12px;vertical-align:middle}
        .panel{margin:.3em 0 0;font-size:.9rem;color:var(--soft)}
        .sheet{display:grid;gap:8px}.sheet p{font-size:.78rem;line-height:1.25;margin:.2em 0 0;
        overflow-wrap:anywhere;color:var(--soft)}
        .sheet img{width:100%;height:auto;image-rendering:pixelated;display:block;border-radius:3px}
        details{margin-top:.5em}summary{cursor:pointer;color:var(--soft);font-size:.9rem}
        .scroll{overflow-x:auto;max-width:100%}
        table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
        th,td{padding:.25em .7em;border-bottom:1px solid var(--rule);text-align:right}
        th{font-weight:600}th:first-child,td:first-child{text-align:left}
        pre{background:var(--box);padding:10px 12px;border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.88rem}
        text{fill:var(--ink);font-size:13px;font-family:inherit}
        .tick{fill:var(--soft);font-size:12px}
        .cell{font-size:11px}.dark{fill:#111}.bright{fill:#fff}
        .axis{stroke:var(--soft);stroke-width:1}.grid{stroke:var(--rule);stroke-width:1}
        .whisker{stroke:var(--ink);stroke-width:1.6}
        .curve{fill:none;stroke-width:2}.band{opacity:.18}
        .c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}
        .c4{stroke:var(--c4)}.c5{stroke:var(--c5)}.c6{stroke:var(--c6)}.c7{stroke:var(--c7)}
        .f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}
        .f4{fill:var(--c4)}.f5{fill:var(--c5)}.f6{fill:var(--c6)}.f7{fill:var(--c7)}
        .d1{stroke-dasharray:7 4}.d2{stroke-dasharray:2 3}.d3{stroke-dasharray:9 3 2 3}
        .d4{stroke-dasharray:12 4}.d5{stroke-dasharray:5 2}.d6{stroke-dasharray:1 2}
        .d7{stroke-dasharray:9 3 2 3 2 3}
        @media (max-width:520px){main{padding:10px 12px 40px}figure{padding:8px}
        h1{font-size:1.45rem}table{font-size:.8rem}th,td{padding:.25em .3em}}
        """
}
