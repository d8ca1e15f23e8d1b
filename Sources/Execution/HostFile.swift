import Glibc

/// Whether there is a program for a cell to try: a regular file that somebody may execute, or a link, which only the
/// cell can follow.
func isProgram(_ path: String) -> Bool {
    var status = stat()
    guard lstat(path, &status) == 0 else { return false }
    switch status.st_mode & S_IFMT {
    case S_IFLNK: return true
    case S_IFREG: return status.st_mode & 0o111 != 0
    default: return false
    }
}

func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}

/// An error number of execve in the words of Go, which AWS's are.
func execErrorText(_ number: Int32) -> String {
    switch number {
    case ENOENT: "no such file or directory"
    case EACCES: "permission denied"
    case ENOEXEC: "exec format error"
    default: String(cString: strerror(number)).lowercased()
    }
}
