import Platform
public import Wire

extension AWSError {
    /// The chain of invocations runs in a circle (`TraceHeader.passing`): what callers of Invoke get, and what is written of
    /// events that are stopped. The text is the model's; AWS's own is not recorded.
    public static var recursiveInvocation: AWSError {
        AWSError(
            "RecursiveInvocationException", status: 400,
            "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services "
                + "resources and stopped your function's invocation.", fields: ["Type": "User"])
    }
}
