package dataset

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"strings"
)

// foreign are formats that people have tables in and that are not read: how they start, what they are, and how to make
// CSV of them, where FILE and NAME stand for the files.
var foreign = []struct {
	magics []string
	is     func(head []byte) bool // where no magic says it
	what   string
	hint   string
}{
	{is: startsZip("[Content_Types].xml", "_rels/", "docProps/", "xl/"), what: "an Excel file",
		hint: "save the sheet as CSV, or give what " + toCSV("pandas.read_excel(FILE)") + " writes"},
	{is: startsZip("mimetype"), what: "an OpenDocument file",
		hint: "save the sheet as CSV, or give what " + toCSV("pandas.read_excel(FILE, engine='odf')") + " writes"},
	{magics: []string{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"}, what: "an Excel file of before 2007",
		hint: "save the sheet as CSV, or give what " + toCSV("pandas.read_excel(FILE)") + " writes"},
	{is: func(head []byte) bool { return len(head) > 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5 },
		what: "a pickle of Python",
		hint: giveCSV("pandas.read_pickle(FILE)") + ", or numpy.save('array.npy', ARRAY) for an array"},
	{magics: []string{"\x89HDF\r\n\x1a\n"}, what: "an HDF5 file", hint: giveCSV("pandas.read_hdf(FILE)")},
	{magics: []string{"FEA1"}, what: "a Feather file of version 1",
		hint: "give what pandas.read_feather(FILE).to_feather('new.feather') writes"},
	{is: func(head []byte) bool {
		return bytes.HasPrefix(head, []byte("ORC")) && bytes.IndexFunc(head, isControl) >= 0
	},
		what: "an ORC file", hint: giveCSV("pandas.read_orc(FILE)")},
	{magics: []string{"Obj\x01"}, what: "an Avro file", hint: "write it as Parquet or CSV"},
	{magics: []string{"SQLite format 3\x00"}, what: "an SQLite database",
		hint: "give what sqlite3 -header -csv FILE 'select * from TABLE' prints"},
	{magics: []string{"X\n\x00\x00\x00", "RDX2\n", "RDX3\n", "B\n\x02\x00\x00\x00", "B\n\x03\x00\x00\x00"},
		what: "a file of R",
		hint: "give what write.csv(readRDS(FILE), NAME, row.names = FALSE) writes (with load for .RData)"},
	{magics: []string{strings.Repeat("\x00", 12) + "\xc2\xea\x81\x60", "HEADER RECORD*******LIB"}, what: "a SAS file",
		hint: giveCSV("pandas.read_sas(FILE)")},
	{magics: []string{"<stata_dta>"}, is: isOldStata, what: "a Stata file", hint: giveCSV("pandas.read_stata(FILE)")},
	{magics: []string{"$FL2", "$FL3"}, what: "an SPSS file", hint: giveCSV("pandas.read_spss(FILE)")},
	{magics: []string{"MATLAB 5.0 MAT-file", "MATLAB 7.3 MAT-file"}, what: "a MATLAB file",
		hint: "give what writematrix(X, NAME) writes, or numpy.save('array.npy', scipy.io.loadmat(FILE)['X'])"},
	{is: func(head []byte) bool {
		return bytes.HasPrefix(bytes.ToLower(bytes.TrimSpace(head[:min(len(head), 200)])), []byte("@relation"))
	}, what: "an ARFF file", hint: giveCSV("pandas.DataFrame(scipy.io.arff.loadarff(FILE)[0])")},
	{is: func(head []byte) bool {
		head = bytes.ToLower(bytes.TrimSpace(head[:min(len(head), 200)]))
		return bytes.HasPrefix(head, []byte("<!doctype html")) || bytes.HasPrefix(head, []byte("<html"))
	}, what: "a page of the Web", hint: "fetch the file itself: this is perhaps the page about it, or about an error"},
	{magics: []string{"%PDF-"}, what: "a PDF file", hint: "give the table as CSV"},
}

func toCSV(frame string) string { return frame + ".to_csv(NAME, index=False)" }

func giveCSV(frame string) string { return "give what " + toCSV(frame) + " writes" }

// isControl says whether r is in no text.
func isControl(r rune) bool { return r < '\t' }

// checkForeign is an error if head, the start of the input, is of a format that is known and not read.
func checkForeign(in *input, head []byte) error {
	for _, f := range foreign {
		is := f.is != nil && f.is(head)
		for _, m := range f.magics {
			is = is || bytes.HasPrefix(head, []byte(m))
		}
		if is {
			hint := f.hint
			if in.path != "" && !strings.ContainsAny(in.path, `'\`) {
				plain := strings.TrimSuffix(in.base, filepath.Ext(in.base))
				hint = strings.NewReplacer("FILE", "'"+in.path+"'", "NAME", "'"+plain+".csv'").Replace(hint)
			}
			return fail(in.name, hint, "is %s, which is not read", f.what)
		}
	}
	return nil
}

// startsZip says whether head starts a zip archive whose first member is in one of the places.
func startsZip(places ...string) func(head []byte) bool {
	return func(head []byte) bool {
		if !isZip(head) || len(head) < 30 {
			return false
		}
		end := 30 + int(binary.LittleEndian.Uint16(head[26:]))
		for _, p := range places {
			if end <= len(head) && bytes.HasPrefix(head[30:end], []byte(p)) {
				return true
			}
		}
		return false
	}
}

// isOldStata says whether head starts a Stata file of version 113 to 115: version, byte order, and two fixed bytes.
func isOldStata(head []byte) bool {
	return len(head) > 4 && head[0] >= 113 && head[0] <= 115 && (head[1] == 1 || head[1] == 2) && head[2] == 1 &&
		head[3] == 0
}
