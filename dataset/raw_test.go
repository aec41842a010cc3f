package dataset

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What is kept has the bytes that it had, and rows are counted as Read counts them.
func TestRaw(t *testing.T) {
	for _, c := range []struct{ name, format, text, want string }{
		{"plain", "csv", "a,y\n1,p\n2,q\n3,p\n", "a,y\n1,p\n3,p\n"},
		{"quotes, comments and a mark", "csv", "\xef\xbb\xbf# by hand\r\na;t;y\r\n\"1\";\"two\r\nlines;\";p\r\n" +
			"\r\n2;x;q\r\n 3 ;\"\"\"\";p",
			"\xef\xbb\xbf# by hand\r\na;t;y\r\n\"1\";\"two\r\nlines;\";p\r\n 3 ;\"\"\"\";p"},
		{"tabs", "tsv", "a\ty\n1\tp\n2\tq\n3\tp\n\n", "a\ty\n1\tp\n3\tp\n\n"},
		{"lines", "libsvm", "1 1:2 # one\n\n# nothing\n-1 1:3\n1 2:5", "1 1:2 # one\n1 2:5"},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		o := Options{Format: c.format, Target: ClassTarget}
		set, err := Read(t.Context(), path, o)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		raw, err := ReadRaw(t.Context(), path, c.format, o)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := set.Dims(); n != 3 || len(raw.Rows) != n {
			t.Errorf("%s: %d rows, %d as they stand", c.name, n, len(raw.Rows))
		}
		var b bytes.Buffer
		if err := raw.Write(&b, func(i int) bool { return i != 1 }); err != nil || b.String() != c.want {
			t.Errorf("%s: %q, want %q (%v)", c.name, &b, c.want, err)
		}
		b.Reset()
		if raw.Write(&b, func(int) bool { return true }); b.String() != c.text {
			t.Errorf("%s: all of it is %q, want %q", c.name, &b, c.text)
		}
		if cells := raw.Cells(0); (cells != nil) != (c.format != "libsvm") {
			t.Errorf("%s: cells %q", c.name, cells)
		}
	}
}
