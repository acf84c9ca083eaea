# Writes the parts of a MIME message, without their headers, to the files `prefix`1, `prefix`2 and so
# on. Known: one level of parts, in plain text.
{ sub(/\r$/, "") }

!boundary && match($0, /boundary="?[^";]+/) {
    boundary = substr($0, RSTART, RLENGTH)
    sub(/^boundary="?/, "", boundary)
}

boundary && index($0, "--" boundary) == 1 { part++; header = 1; next }

header && $0 == "" { header = 0; next }

part && !header { print > (prefix part) }
