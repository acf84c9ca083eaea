# Makes a shell script of a list of commands in a flattened document: a command that is a string
# becomes a line, one that is a list its words, each quoted.
BEGIN { FS = "\t" }

index($1, key "/") == 1 {
    split(substr($1, length(key) + 2), place, "/")
    text = substr($0, length($1) + 2)
    gsub(/\001/, "\n", text)
    if (place[1] != command) { end(); command = place[1]; script = "" }
    script = script (2 in place ? quoted(text) " " : text)
    delete place
}

END { end() }

function end() { if (script != "") print script }

function quoted(text) { gsub(/'/, "'\\''", text); return "'" text "'" }
