// Command gen writes the assembly of package kernel.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"go/format"
	"log"
	"os"
	"regexp"
	"strings"

	. "github.com/mmcloughlin/avo/build"
)

func main() {
	dir := flag.String("dir", "..", "the folder of package kernel")
	flag.Parse()
	asm, stubs := *dir+"/kernel_amd64.s", *dir+"/stubs_amd64.go"
	for name, value := range map[string]string{"out": asm, "stubs": stubs, "pkg": "kernel"} {
		if err := flag.Set(name, value); err != nil {
			log.Fatal(err)
		}
	}

	for _, s := range []*isa{avx512, avx2} {
		s.dotProduct()
		s.axpy()
		s.axpby()
		s.axpy2()
		s.scale()
		s.sagaStep()
		s.swapDiff()
		s.elementwise()
		s.expRidge()
		s.expRidgeValue()
		s.rowKernels()
		s.linkKernels()
		s.logisticKernels()
		s.softmax()
		s.softmaxProduct()
		s.scoresK()
		s.combineK()
		s.combineRow()
		s.gram()
		s.sparse()
	}
	prefetch()
	Generate()

	if err := checkRegisters(asm); err != nil {
		log.Fatal(err)
	}
	if err := writeOtherStubs(stubs, *dir+"/stubs_other.go"); err != nil {
		log.Fatal(err)
	}
}

// upperRegister matches the registers AVX2 lacks. The register allocator takes
// them when it runs out of others.
var upperRegister = regexp.MustCompile(`\b([XY](1[6-9]|2[0-9]|3[01])|Z[0-9]+|K[0-7])\b`)

func checkRegisters(asm string) error {
	b, err := os.ReadFile(asm)
	if err != nil {
		return err
	}
	var text string
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		line := sc.Text()
		if strings.HasPrefix(line, "TEXT") {
			text = line
		}
		if strings.Contains(text, avx2.name+"(SB)") && upperRegister.MatchString(line) {
			return fmt.Errorf("%s: AVX-512 register in %q", text, line)
		}
	}
	return nil
}

// writeOtherStubs gives the assembly functions bodies for processors on which
// the tier is constant and never reaches them.
func writeOtherStubs(stubs, other string) error {
	b, err := os.ReadFile(stubs)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		line := sc.Text()
		switch {
		case line == "package kernel":
			fmt.Fprintf(&out, "//go:build !amd64\n\n%s\n", line)
		case strings.HasPrefix(line, "func "):
			fmt.Fprintf(&out, "%s { panic(\"unreachable\") }\n", line)
		case !strings.HasPrefix(line, "//go:noescape"):
			fmt.Fprintln(&out, line)
		}
	}
	src, err := format.Source(out.Bytes())
	if err != nil {
		return err
	}
	return os.WriteFile(other, src, 0o644)
}
