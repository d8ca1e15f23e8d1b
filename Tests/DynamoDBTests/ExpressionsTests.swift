import Platform
import Testing
import Wire

@testable import DynamoDB

/// Names and values as requests have them.
func placeholders(_ names: [(String, String)]?, _ values: [(String, AttributeValue)]?) throws -> Placeholders {
    try Placeholders(names: names, values: values)
}

func number(_ value: Int) -> AttributeValue { .number(DynamoNumber(value)) }

/// The values that tests use by name.
let testValues: [(String, AttributeValue)] = [
    (":n", number(1)), (":m", number(5)), (":s", .string("abc")), (":e", .string("")), (":b", .binary([1, 2])),
    (":t", .bool(true)), (":x", .null), (":l", .list([number(1)])), (":o", .map(["a": number(1)])),
    (":ss", .set(of: ["a", "b"])), (":ns", .set(of: [DynamoNumber(1), DynamoNumber(2)])), (":type", .string("S")),
]

/// The message that an expression is refused with; nil when it is read.
func refusal(_ kind: ExpressionKind, _ text: String, _ names: [(String, String)]? = nil) throws -> String? {
    var all = try placeholders(names, testValues)
    do throws(AWSError) {
        switch kind {
        case .condition, .filter: _ = try ConditionExpression.parse(text, kind: kind, &all)
        case .keyCondition:
            _ = try KeyCondition.parse(
                text, partitionKey: .init(name: "p", type: .string), sortKey: .init(name: "c", type: .number), &all)
        case .projection: _ = try ProjectionExpression.parse(text, &all)
        case .update: _ = try UpdateExpression.parse(text, &all)
        }
        return nil
    } catch {
        #expect(error.code == "ValidationException" && error.status == 400)
        return error.message
    }
}

@Suite struct ExpressionsTests {
    // MARK: Errors of conditions

    @Test(
        arguments: [
            ("", "The expression can not be empty;"), (" \t", "The expression can not be empty;"),
            ("a", "Syntax error; token: \"<EOF>\", near: \"a\""),
            ("foo = ", "Syntax error; token: \"<EOF>\", near: \"= \""),
            ("a =", "Syntax error; token: \"<EOF>\", near: \"=\""),
            ("a b", "Syntax error; token: \"b\", near: \"a b\""),
            (":q", "Syntax error; token: \"<EOF>\", near: \":q\""),
            (":q < :q AND b", "Syntax error; token: \"<EOF>\", near: \"b\""),
            ("ADD #v :n", "Syntax error; token: \"ADD\", near: \"ADD #v\""),
            ("_a = :n", "Syntax error; token: \"_\", near: \"_a\""),
            ("a = :n AND __typename = :s", "Syntax error; token: \"_\", near: \"AND __\""),
            ("a in ()", "Syntax error; token: \")\", near: \"()\""),
            ("(a = :n", "Syntax error; token: \"<EOF>\", near: \":n\""),
            ("attribute_not_exists(", "Syntax error; token: \"<EOF>\", near: \"(\""),
            ("a-b = :n", "Syntax error; token: \"-\", near: \"a-b\""),
            ("a = é", "Syntax error; token: \"é\", near: \"= é\""),
            ("a[1 = :n", "Syntax error; token: \"=\", near: \"1 = :n\""),
            ("a[:n] = :n", "Syntax error; token: \":n\", near: \"[:n]\""),
            ("(a) AND b = :n", "Syntax error; token: \"AND\", near: \") AND b\""),
            ("a = :n OR b", "Syntax error; token: \"<EOF>\", near: \"b\""),
            ("((a = :n))", "The expression has redundant parentheses;"),
            ("((a)) = :n", "The expression has redundant parentheses;"),
            ("a = ((:n))", "The expression has redundant parentheses;"),
            ("a = :n AND ((b = :n))", "The expression has redundant parentheses;"),
            ("name = :n", "Attribute name is a reserved keyword; reserved keyword: name"),
            ("a.Status = :nope", "Attribute name is a reserved keyword; reserved keyword: Status"),
            ("f(a, name)", "Invalid function name; function: f"),
            ("BEGINS_WITH(a, :s)", "Invalid function name; function: BEGINS_WITH"),
            (
                "if_not_exists(a, :n) = :n",
                "The function is not allowed in a condition expression; function: if_not_exists"
            ),
            (
                "size(a)", "The function is not allowed to be used this way in an expression; function: size"
            ),
            (
                "NOT size(a)", "The function is not allowed to be used this way in an expression; function: size"
            ),
            (
                "attribute_exists(a) < :n",
                "The function is not allowed to be used this way in an expression; function: attribute_exists"
            ),
            (
                "size(contains(a, :s)) = :n",
                "The function is not allowed to be used this way in an expression; function: contains"
            ),
            (
                "size(a, b) = :n",
                "Incorrect number of operands for operator or function; operator or function: size, number of "
                    + "operands: 2"
            ),
            (
                "#q = :n",
                "An expression attribute name used in the document path is not defined; attribute name: #q"
            ),
            (
                "a = :q",
                "An expression attribute value used in expression is not defined; attribute value: :q"
            ),
            (
                "attribute_exists(:n)",
                "Operator or function requires a document path; operator or function: attribute_exists"
            ),
            (
                "begins_with(a, :n)",
                "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N"
            ),
            (
                "a < :t",
                "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"
            ),
            (
                "a BETWEEN :t AND :t",
                "Incorrect operand type for operator or function; operator or function: BETWEEN, operand type: BOOL"
            ),
            (
                "size(:n) = :n",
                "Incorrect operand type for operator or function; operator or function: size, operand type: N"
            ),
            (
                "attribute_type(a, :n)",
                "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N"
            ),
            (
                "attribute_type(a, :s)",
                "Invalid attribute type name found; type: abc, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
            ),
            (
                "attribute_type(a, b)",
                "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: "
                    + "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}"
            ),
            (
                "contains(a.b[2], a.b[2])",
                "The first operand must be distinct from the remaining operands for this operator or function; "
                    + "operator: contains, first operand: [a, b, [2]]"
            ),
            (
                "a BETWEEN :m AND :n",
                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound "
                    + "operand: AttributeValue: {N:5}, upper bound operand: AttributeValue: {N:1}"
            ),
            (
                "a BETWEEN :n AND :s",
                "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: "
                    + "AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:abc}"
            ),
            ("a[99999999999] = :n", "List index is not within the allowable range; index: [99999999999]"),
        ])
    func refusedConditions(text: String, message: String) throws {
        #expect(try refusal(.condition, text) == "Invalid ConditionExpression: \(message)")
        #expect(try refusal(.filter, text) == "Invalid FilterExpression: \(message)")
    }

    @Test(arguments: [
        "a = :n", "(a) = (:n)", "(a = :n)", "((a = :n) AND (b = :n))", "NOT a = :n AND (b = :m OR c IN (:n, :m))",
        "a BETWEEN :n AND :m AND b = :n", "size(a) > size(b)", "not NOT attribute_exists(a)", "#0 = :n",
        "(attribute_exists(a))", "begins_with(:s, a)", "contains(a, size(b))", "attribute_type(:n, :type)",
        "a[0].b[12] <> :l", "(size(a)) <= :n", "a=:n aNd(b)>=:n", "ands = :n", "IN1 = :n",
    ])
    func acceptedConditions(text: String) throws {
        #expect(try refusal(.condition, text, [("#0", "name")]) == nil)
    }

    @Test func bounds() throws {
        func message(_ text: String) throws -> String {
            try (refusal(.condition, text) ?? "").replacing("Invalid ConditionExpression: ", with: "")
        }
        let nested = "a<b " + String(repeating: "or (a<b ", count: 149) + String(repeating: ")", count: 149)
        #expect(try message(nested) == "")
        #expect(
            try message("a<b" + String(repeating: " or a<b", count: 150))
                == "The expression contains too many operators; operator count: 301")
        #expect(
            try message(String(repeating: "not ", count: 1_000) + "a<b")
                == "The expression contains too many operators; operator count: 301")
        #expect(
            try message(String(repeating: "(", count: 4_097))
                == "Expression size has exceeded the maximum allowed size; expression size: 4097")
        let deep = String(repeating: "(", count: 2_000) + "a<b" + String(repeating: ")", count: 2_000)
        #expect(try message(deep) == "The expression has redundant parentheses;")
        #expect(
            try message("a IN (" + Array(repeating: ":n", count: 101).joined(separator: ",") + ")")
                == "The IN operator is provided with too many operands; number of operands: 101")
        let path = "a" + String(repeating: ".a", count: 32)
        #expect(
            try message(path + " = :n") == "The document path has too many nesting levels; nesting levels: 33")
        #expect(try message(String(path.dropLast(2)) + " = :n") == "")
    }

    // MARK: Placeholders

    @Test func placeholdersAreCheckedAndTracked() throws {
        func message(_ names: [(String, String)]?, _ values: [(String, AttributeValue)]?) -> String? {
            do throws(AWSError) {
                _ = try Placeholders(names: names, values: values)
                return nil
            } catch {
                return error.message
            }
        }
        #expect(message([], nil) == "ExpressionAttributeNames must not be empty")
        #expect(message(nil, []) == "ExpressionAttributeValues must not be empty")
        #expect(
            message([("a", "b")], nil) == "ExpressionAttributeNames contains invalid key: Syntax error; key: \"a\"")
        #expect(
            message(nil, [(":a-b", .null)])
                == "ExpressionAttributeValues contains invalid key: Syntax error; key: \":a-b\"")
        #expect(message([("#" + String(repeating: "a", count: 255), "b")], nil)?.contains("too long") == true)
        #expect(message([("#a", "")], nil)?.contains("Empty attribute name for key #a") == true)
        #expect(
            message(nil, [(":a", .string(String(repeating: "x", count: 2 * 1024 * 1024)))])?.contains("Size of") == true
        )

        var all = try placeholders([("#a", "x"), ("#b", "y")], [(":v", .null), (":w", .null)])
        _ = try ConditionExpression.parse("#a = :v", kind: .filter, &all)
        #expect(
            throws: AWSError.validation("Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}")
        ) { try all.checkAllUsed() }
        _ = try ProjectionExpression.parse("#b", &all)
        #expect(
            throws: AWSError.validation("Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}")
        ) { try all.checkAllUsed() }
        _ = try UpdateExpression.parse("SET a = :w", &all)
        try all.checkAllUsed()
    }

    @Test func manyPlaceholdersAreFound() throws {
        var all = try placeholders(nil, (0..<400).map { (":v\($0)", number($0)) })
        let condition = try ConditionExpression.parse("a = :v399 OR a IN (:v7, :v20)", kind: .condition, &all)
        #expect(condition.evaluate(["a": number(20)]))
        #expect(!condition.evaluate(["a": number(21)]))
    }

    @Test func errorsOfValuesNameTheirKey() {
        #expect(
            throws: AWSError.validation(
                "ExpressionAttributeValues contains invalid value: One or more parameter values were invalid: An string "
                    + "set  may not be empty for key :a")
        ) {
            try Placeholders(names: nil, values: [":a": ["SS": []]] as Platform.Value)
        }
    }

    // MARK: Key conditions

    @Test(
        arguments: [
            ("c = :n", "Query condition missed key schema element: p"),
            ("p = :s AND a < :n", "Query condition missed key schema element: c"),
            ("p < :s", "Query key condition not supported"),
            ("begins_with(p, :s)", "Query key condition not supported"),
            (
                "p = :s AND c > :n AND c < :m",
                "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key"
            ),
            (
                "p = :s AND c > :n AND x = :m",
                "The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)"
            ),
            ("p = :s OR c = :n", "Invalid operator used in KeyConditionExpression: OR"),
            ("NOT p = :s", "Invalid operator used in KeyConditionExpression: NOT"),
            ("p = :s AND c <> :n", "Invalid operator used in KeyConditionExpression: <>"),
            ("p = :s AND c IN (:n)", "Invalid operator used in KeyConditionExpression: IN"),
            ("p = :s AND attribute_exists(c)", "Invalid operator used in KeyConditionExpression: attribute_exists"),
            ("p = :s AND size(c) = :n", "KeyConditionExpressions cannot contain nested operations"),
            ("p = :s AND c.d = :n", "KeyConditionExpressions cannot have conditions on nested attributes"),
            ("p = c", "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"),
            (":n = :m", "Invalid condition in KeyConditionExpression: No key attribute specified"),
            (
                "p = :s AND :n BETWEEN c AND :m",
                "Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as its first "
                    + "operand"
            ),
            (
                "p = :n",
                "One or more parameter values were invalid: Condition parameter type does not match schema type"
            ),
            (
                "p = :s AND begins_with(c, :s)",
                "One or more parameter values were invalid: Condition parameter type does not match schema type"
            ),
            (
                "p = :s AND begins_with(c, :n)",
                "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or "
                    + "function: begins_with, operand type: N"
            ),
            (
                "p = :e",
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
                    + "empty string value. Key: p"
            ),
            ("p", "Invalid KeyConditionExpression: Syntax error; token: \"<EOF>\", near: \"p\""),
        ])
    func refusedKeyConditions(text: String, message: String) throws {
        #expect(try refusal(.keyCondition, text) == message)
    }

    @Test(
        arguments: [
            ("p = :s", nil), (":s = p AND c = :n", .equal(number(1))), ("c < :n AND p = :s", .less(number(1))),
            ("p = :s AND :n < c", .greater(number(1))), ("(p = :s) AND (:n <= c)", .greaterOrEqual(number(1))),
            ("p = :s AND c BETWEEN :n AND :m", .between(number(1), number(5))),
            ("(p = :s AND c <= :n)", .lessOrEqual(number(1))),
        ] as [(String, KeyCondition.Sort?)])
    func keyConditions(text: String, sort: KeyCondition.Sort?) throws {
        var all = try placeholders(nil, testValues)
        let condition = try KeyCondition.parse(
            text, partitionKey: .init(name: "p", type: .string), sortKey: .init(name: "c", type: .number), &all)
        #expect(condition == KeyCondition(partition: .string("abc"), sort: sort))
    }

    // MARK: Projections

    static let document: Item = [
        "p": .string("k"), "b": .string("hello"),
        "a": .map([
            "b": .list([number(2), number(4), .map(["x": .string("hi"), "y": .string("yo")])]), "c": number(5),
        ]),
    ]

    @Test(
        arguments: [
            ("a", "{\"a\":{\"b\":[2,4,{\"x\":\"hi\",\"y\":\"yo\"}],\"c\":5}}"), ("a.b[0]", "{\"a\":{\"b\":[2]}}"),
            ("a.b[2].y", "{\"a\":{\"b\":[{\"y\":\"yo\"}]}}"),
            ("a.b[2], a.b[0]", "{\"a\":{\"b\":[2,{\"x\":\"hi\",\"y\":\"yo\"}]}}"),
            ("a.c, b", "{\"a\":{\"c\":5},\"b\":\"hello\"}"), ("x, a.x, a.b[3], a[0], b.c, a.b.x", "conflict"),
            ("x, a.x, a.b[3], b.c", "{}"), ("a.x, a.b[0], x, a.b[3].x", "{\"a\":{\"b\":[2]}}"),
        ])
    func projections(text: String, expected: String) throws {
        var all = try placeholders(nil, nil)
        do throws(AWSError) {
            let projection = try ProjectionExpression.parse(text, &all)
            var writer = JSONWriter()
            writer.write(plain(.map(projection.apply(Self.document))))
            #expect(String(decoding: writer.bytes, as: UTF8.self) == expected)
        } catch {
            #expect(error.message.contains("conflict") && expected == "conflict")
        }
    }

    @Test(arguments: ["a, a", "a.b, a.b", "a[1], a[1]", "a, a.b", "a.b, a", "a.b, a.b[2]", "a, a.b[2].c", "a.b.d, a.b"])
    func overlappingPaths(text: String) throws {
        let message = try #require(try refusal(.projection, text))
        #expect(message.hasPrefix("Invalid ProjectionExpression: Two document paths overlap with each other; must "))
    }

    @Test func pathsInErrors() throws {
        #expect(
            try refusal(.projection, "b, a.b[0], #a.b", [("#a", "a")])
                == "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite "
                + "one of these paths; path one: [a, b, [0]], path two: [a, b]")
        #expect(
            try refusal(.projection, "a.b, a[1]")
                == "Invalid ProjectionExpression: Two document paths conflict with each other; must remove or rewrite "
                + "one of these paths; path one: [a, b], path two: [a, [1]]")
        #expect(try refusal(.projection, "a, b, a1, a.b.d", [("#a", "a")])?.contains("overlap") == true)
        for text in ["a, b", "a.b, a.c", "a.b.d, a.b.e", "a[1], a[2]", "a.b, a.c[2]"] {
            #expect(try refusal(.projection, text) == nil)
        }
        #expect(
            try refusal(.projection, "!!!") == "Invalid ProjectionExpression: Syntax error; token: \"!\", near: \"!!\"")
        #expect(
            try refusal(.projection, "a,")
                == "Invalid ProjectionExpression: Syntax error; token: \"<EOF>\", near: \",\"")
    }

    @Test func allReservedWordsAreRefused() throws {
        #expect(ReservedWords.words.count == 573)
        for word in ReservedWords.words {
            let message = try #require(try refusal(.projection, word.lowercased()))
            #expect(message.contains("reserved keyword: \(word.lowercased())") || message.contains("Syntax error"))
        }
        for word in ["id", "LOCALTIMESTAMPS", "namex", "a", "ttl2"] { #expect(try refusal(.projection, word) == nil) }
    }
}

/// Plain JSON of a value, which is easier to read in tests.
func plain(_ value: AttributeValue) -> Platform.Value {
    switch value {
    case .string(let text): .string(text)
    case .number(let number): Int64(number.text).map { .int($0) } ?? .string(number.text)
    case .binary(let bytes): .blob(bytes)
    case .bool(let value): .bool(value)
    case .null: .null
    case .list(let elements): .list(elements.map(plain))
    case .map(let map): .map(Fields(map.map { ($0.name, plain($0.value)) }))
    case .stringSet(let members): .strings(members)
    case .numberSet(let members): .strings(members.map(\.text))
    case .binarySet(let members): .list(members.map { .blob($0) })
    }
}
