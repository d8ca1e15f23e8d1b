/// Quotas of expressions. Source: "Expression parameters" in "Quotas in Amazon DynamoDB", unless said otherwise.
enum ExpressionLimits {
    /// Bytes of an expression's text.
    static let expressionBytes = 4_096
    /// Operators and functions of one expression.
    static let operators = 300
    /// Bytes of a placeholder's name, with its # or :.
    static let placeholderBytes = 255
    /// Bytes of all names and values of placeholders of a request.
    static let substitutionBytes = 2 * 1024 * 1024
    /// Operands of IN behind the attribute.
    static let inOperands = 100
    /// Parentheses, functions and NOTs inside each other: Martlet's bound of its parser's recursion, as many as there
    /// may be operators.
    static let depth = 300
    /// Names and indexes of a document path.
    static let pathElements = ValueLimits.nestingLevels
}
