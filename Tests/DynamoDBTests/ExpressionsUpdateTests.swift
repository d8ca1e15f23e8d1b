import Platform
import Testing
import Wire

@testable import DynamoDB

@Suite struct ExpressionsUpdateTests {
    static let item: Item = [
        "p": .string("k"), "n": number(3), "s": .string("hi"), "l": .list([number(10), number(11), number(12)]),
        "m": .map(["x": number(7), "y": .map(["z": .list([number(1), number(2)])])]),
        "ss": .set(of: ["cat", "dog"]), "ns": .set(of: [DynamoNumber(1), DynamoNumber(2)]),
    ]

    static let values: [(String, AttributeValue)] =
        testValues + [
            (":ds", .set(of: ["dog", "pig"])), (":cd", .set(of: ["cat", "dog"])), (":big", .number(big)),
            (":tiny", .number(tiny)), (":ll", .list([number(98), number(99)])),
        ]
    private static let big = (try? DynamoNumber("9.9e125")) ?? .zero
    private static let tiny = (try? DynamoNumber("1e50")) ?? .zero

    static func apply(_ text: String, to item: Item = item, exists: Bool = true) throws(AWSError) -> UpdateOutcome {
        var all = try Placeholders(names: [("#n", "name")], values: values)
        return try UpdateExpression.parse(text, &all).apply(to: item, exists: exists)
    }

    /// What changed, as JSON: attributes that are new, different or gone (null).
    static func difference(_ before: Item, _ after: Item) -> String {
        var fields = Fields()
        for name in Item((before.entries + after.entries).map { ($0.name, .null) }).names
        where before[name] != after[name] {
            fields.append(name, after[name].map(plain) ?? .null)
        }
        var writer = JSONWriter()
        writer.write(.map(fields))
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    @Test(
        arguments: [
            ("SET a = :n", #"{"a":1}"#), ("set #n=s,b=:n", #"{"b":1,"name":"hi"}"#),
            ("SET n = n + :m", #"{"n":8}"#), ("SET n = :m - n", #"{"n":2}"#), ("SET a = (n + n)", #"{"a":6}"#),
            ("SET a = (n) + (:n)", #"{"a":4}"#), ("SET a = n, n = :m", #"{"a":3,"n":5}"#),
            ("SET a = if_not_exists(a, :n) + :m", #"{"a":6}"#), ("SET n = if_not_exists(n, :m)", "{}"),
            ("SET a = if_not_exists(b, if_not_exists(n, :m))", #"{"a":3}"#),
            ("SET l = list_append(l, :ll)", #"{"l":[10,11,12,98,99]}"#),
            ("SET l = list_append(:ll, l)", #"{"l":[98,99,10,11,12]}"#),
            ("SET q = list_append(if_not_exists(q, :l), :ll)", #"{"q":[1,98,99]}"#),
            ("SET m.x = :s", #"{"m":{"x":"abc","y":{"z":[1,2]}}}"#),
            ("SET m.w = :n", #"{"m":{"w":1,"x":7,"y":{"z":[1,2]}}}"#),
            ("SET m.y.z[1] = :s", #"{"m":{"x":7,"y":{"z":[1,"abc"]}}}"#),
            ("SET m.w = m.y.z[0]", #"{"m":{"w":1,"x":7,"y":{"z":[1,2]}}}"#),
            ("SET l[7] = :n", #"{"l":[10,11,12,1]}"#),
            ("SET l[84] = :n, l[37] = :m, l[17] = :s", #"{"l":[10,11,12,"abc",5,1]}"#),
            ("REMOVE l[1]", #"{"l":[10,12]}"#), ("REMOVE l[0], l[2]", #"{"l":[11]}"#),
            ("REMOVE l[1] SET l[2] = :n", #"{"l":[10,1]}"#), ("SET l[2] = :n REMOVE l[1]", #"{"l":[10,1]}"#),
            ("SET l[7] = :n REMOVE l[3]", #"{"l":[10,11,12,1]}"#),
            ("SET l[3] = :n REMOVE l[0]", #"{"l":[11,12,1]}"#),
            ("REMOVE m.y.z[0], m.x", #"{"m":{"y":{"z":[2]}}}"#), ("REMOVE n, nothing, m.q, l[17]", #"{"n":null}"#),
            ("ADD n :n", #"{"n":4}"#), ("ADD a :n", #"{"a":1}"#), ("ADD m.x :n", #"{"m":{"x":8,"y":{"z":[1,2]}}}"#),
            ("ADD m.w :ss", #"{"m":{"w":["a","b"],"x":7,"y":{"z":[1,2]}}}"#),
            ("ADD ss :ds", #"{"ss":["cat","dog","pig"]}"#), ("DELETE ss :ds", #"{"ss":["cat"]}"#),
            ("DELETE ss :cd", #"{"ss":null}"#), ("DELETE ss :ss", "{}"), ("DELETE nothing :ss", "{}"),
            ("DELETE ns :ns ADD q :ns", #"{"ns":null,"q":["1","2"]}"#),
            ("SET a = :e, b = :o", #"{"a":"","b":{"a":1}}"#),
        ])
    func updates(text: String, expected: String) throws {
        let outcome = try Self.apply(text)
        #expect(Self.difference(Self.item, outcome.item) == expected)
    }

    @Test(
        arguments: [
            ("SET a.b = :n", "The document path provided in the update expression is invalid for update"),
            ("SET s[0] = :n", "The document path provided in the update expression is invalid for update"),
            ("REMOVE q.r", "The document path provided in the update expression is invalid for update"),
            ("ADD l.x :n", "The document path provided in the update expression is invalid for update"),
            ("SET a = q", "The provided expression refers to an attribute that does not exist in the item"),
            ("SET a = :n, b = a", "The provided expression refers to an attribute that does not exist in the item"),
            (
                "SET a = list_append(q, :l)",
                "The provided expression refers to an attribute that does not exist in the item"
            ),
            ("SET a = s + :n", "An operand in the update expression has an incorrect data type"),
            ("SET a = list_append(n, :l)", "An operand in the update expression has an incorrect data type"),
            ("ADD s :n", "An operand in the update expression has an incorrect data type"),
            ("ADD ns :ss", "An operand in the update expression has an incorrect data type"),
            ("DELETE n :ss", "An operand in the update expression has an incorrect data type"),
            ("SET q.r = s + :n", "An operand in the update expression has an incorrect data type"),
            ("SET q.r = zz", "The document path provided in the update expression is invalid for update"),
            (
                "SET a = :big + :big",
                "Number overflow. Attempting to store a number with magnitude larger than supported range"
            ),
            ("SET a = :tiny + :n", "Attempting to store more than 38 significant digits in a Number"),
        ])
    func failures(text: String, message: String) {
        #expect(throws: AWSError.validation(message)) { try Self.apply(text) }
    }

    @Test(
        arguments: [
            ("", "The expression can not be empty;"),
            ("INVALID SYNTAX HERE", "Syntax error; token: \"INVALID\", near: \"INVALID SYNTAX\""),
            ("SET", "Syntax error; token: \"<EOF>\", near: \"SET\""),
            ("ADD hits : incr", "Syntax error; token: \":\", near: \"hits : incr\""),
            ("SET _123 = :n", "Syntax error; token: \"_\", near: \"SET _123\""),
            ("SET a = :n,", "Syntax error; token: \"<EOF>\", near: \",\""),
            ("ADD numx", "Syntax error; token: \"<EOF>\", near: \"numx\""),
            ("SET a = :n + :n + :n", "Syntax error; token: \"+\", near: \":n + :n\""),
            ("SET a = if_not_exists(a, :n + :n)", "Syntax error; token: \"+\", near: \":n + :n\""),
            ("SET a = (:n + :n) + :n", "Syntax error; token: \"+\", near: \") + :n\""),
            ("SET a = ((:n))", "The expression has redundant parentheses;"),
            ("SET a = :n SET b = :n", "The \"SET\" section can only be used once in an update expression;"),
            ("remove a remove b", "The \"REMOVE\" section can only be used once in an update expression;"),
            ("SET name = :n", "Attribute name is a reserved keyword; reserved keyword: name"),
            ("SET a = f(b, c, d)", "Invalid function name; function: f"),
            ("SET a = LIST_APPEND(:l, :l)", "Invalid function name; function: LIST_APPEND"),
            ("SET a = size(b)", "The function is not allowed in an update expression; function: size"),
            (
                "SET a = list_append(list_append(:l, :l), :l)",
                "The function is not allowed to be used this way in an expression; function: list_append"
            ),
            (
                "SET a = list_append(:l)",
                "Incorrect number of operands for operator or function; operator or function: list_append, number of "
                    + "operands: 1"
            ),
            (
                "SET a = list_append(:l, :s)",
                "Incorrect operand type for operator or function; operator or function: list_append, operand type: S"
            ),
            (
                "SET a = :s + :n",
                "Incorrect operand type for operator or function; operator or function: +, operand type: S"
            ),
            (
                "SET b = if_not_exists(:n, :m)",
                "Operator or function requires a document path; operator or function: if_not_exists"
            ),
            (
                "ADD a :s",
                "Incorrect operand type for operator or function; operator: ADD, operand type: STRING, typeSet: "
                    + "ALLOWED_FOR_ADD_OPERAND"
            ),
            (
                "DELETE a :n",
                "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER, typeSet: "
                    + "ALLOWED_FOR_DELETE_OPERAND"
            ),
            (
                "SET a = :nope",
                "An expression attribute value used in expression is not defined; attribute value: :nope"
            ),
            (
                "SET a = :n REMOVE a.b",
                "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], "
                    + "path two: [a, b]"
            ),
            (
                "SET a.b = :n, a[0] = :n",
                "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: "
                    + "[a, b], path two: [a, [0]]"
            ),
        ])
    func refusals(text: String, message: String) throws {
        #expect(try refusal(.update, text) == "Invalid UpdateExpression: \(message)")
    }

    @Test func whatReturnValuesNeed() throws {
        let outcome = try Self.apply("SET m.x = :n, m.w = :m, a = :s REMOVE n, q")
        #expect(outcome.updatedOld == ["m": .map(["x": number(7)]), "n": number(3)])
        #expect(outcome.updatedNew == ["m": .map(["x": number(1), "w": number(5)]), "a": .string("abc")])
        let nothing = try Self.apply("REMOVE q")
        #expect(nothing.updatedOld == nil && nothing.updatedNew == nil && nothing.item == Self.item)
    }

    @Test func itemsThatDoNotExist() throws {
        let key: Item = ["p": .string("k")]
        #expect(try Self.apply("ADD n :n SET a = p", to: key, exists: false).item["a"] == .string("k"))
        #expect(try Self.apply("REMOVE x.y, z[0]", to: key, exists: false).item == key)
        #expect(throws: AWSError.self) { try Self.apply("SET x.y = :n", to: key, exists: false) }
        #expect(throws: AWSError.self) { try Self.apply("REMOVE x.y", to: key) }
    }

    @Test func nestingIsBoundedForUpdatesToo() throws {
        let deep = (0..<30).reduce(number(1)) { value, _ in .map(["a": value]) }
        let item: Item = ["p": .null, "deep": deep, "m": .map(["x": .map(["y": .null])])]
        _ = try Self.apply("SET a = deep, m.b = deep", to: item)
        #expect(throws: AttributeValue.tooDeep) {
            try Self.apply("SET m.x.y = deep", to: item)
        }
    }

    /// Random sets, appends and removals of one list, against one that is worked out element by element.
    @Test func listsAgainstAModel() throws {
        var random = ValueRandom(seed: 11)
        for _ in 0..<1_500 {
            let count = random.below(6)
            let list = (0..<count).map { number(100 + $0) }
            var indexes = Set<Int>()
            var model: [(index: Int, value: AttributeValue?)] = list.enumerated().map { ($0.offset, $0.element) }
            var (sets, removes): ([String], [String]) = ([], [])
            for _ in 0...random.below(4) {
                let index = random.below(9)
                guard indexes.insert(index).inserted else { continue }
                if random.below(2) == 0 {
                    sets.append("l[\(index)] = :v\(index)")
                    if index < count {
                        model[index].value = number(index)
                    } else {
                        model.append((index, number(index)))
                    }
                } else {
                    removes.append("l[\(index)]")
                    if index < count { model[index].value = nil }
                }
            }
            let text =
                (sets.isEmpty ? "" : "SET " + sets.joined(separator: ", "))
                + (removes.isEmpty ? "" : " REMOVE " + removes.joined(separator: ", "))
            var all = try placeholders(nil, (0..<9).map { (":v\($0)", number($0)) })
            let outcome = try UpdateExpression.parse(text, &all).apply(to: ["l": .list(list)])
            let expected = model.sorted { $0.index < $1.index }.compactMap(\.value)
            #expect(outcome.item["l"] == .list(expected), "\(text)")
        }
    }
}
