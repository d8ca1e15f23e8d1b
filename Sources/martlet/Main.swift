import ArgumentParser

/// Where the program begins. A plain `serve` does not go through ArgumentParser, which looks at every command and option by
/// reflection before it runs one: two of the twenty milliseconds that a start may take.
@main
enum Main {
    static func main() async {
        guard let words = ServeWords(CommandLine.arguments.dropFirst())?.values else { return await Martlet.main() }
        do {
            try await Serve.run(try await Settings(words: words))
        } catch {
            Martlet.exit(withError: error)
        }
    }
}

/// `serve --port 4567 --data-dir=/tmp/x`, read without ArgumentParser. Nil for whatever is not exactly that (help, a flag
/// that is not known, a value that is missing or looks like a flag): ArgumentParser then reads it again and has the words.
struct ServeWords {
    private(set) var values: [String: String] = [:]

    init?(_ arguments: ArraySlice<String>) {
        guard arguments.first == "serve" else { return nil }
        var rest = arguments.dropFirst()
        while let flag = rest.popFirst() {
            guard flag.hasPrefix("--") else { return nil }
            let parts = flag.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts.first.map(String.init), name == "config" || SettingSource.names.contains(name) else {
                return nil
            }
            let value = parts.count == 2 ? String(parts[1]) : rest.popFirst()
            guard let value, !value.isEmpty, !value.hasPrefix("-") else { return nil }
            values[name] = value
        }
    }
}
