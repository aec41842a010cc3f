package dataset

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/internal/nearest"
)

// Public is a public data set: what it holds, and where its files are.
type Public struct {
	Name     string
	Aliases  []string // other names that Lookup takes
	Title    string   // what it is, in a few words
	Page     string   // address for people
	Licence  string   // as its page states it; "not stated" if it does not
	Rows     int      // training rows, or all rows if it is not divided
	TestRows int      // test rows; 0 if it is not divided
	Features int      // features of a row; 0 if it is raw text
	Classes  int      // classes of the label
	Files    []PublicFile

	folders []string // in a data folder, besides Name
	copies  []copySet
	load    func(ctx context.Context, f *Files) (train, test *Set, err error) // nil: get and path only
}

// PublicFile is one file of a public set.
type PublicFile struct {
	Name string   // in the cache
	URLs []string // addresses, tried in order
	Size int64    // bytes, about; for messages and before the server tells
	// Checksum as a source that can be cited states it; at most one of the two. Where none is published, the
	// file's shape is checked and its SHA-256 is remembered at first use.
	SHA256, MD5 string
	// Shape of a file without a published checksum: LIBSVM text of rows × at most Features.
	rows int
}

// copySet are file names under which copies in a data folder are known, in place of Files.
type copySet struct {
	names []string
	note  string // what is different about it; "" if only the bytes are
}

const libsvmBinary = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/"

// The registry.
//
// LIBSVM's page publishes no checksums. Those of covtype and 20newsgroups are stated by scikit-learn in
// sklearn/datasets/_covtype.py and _twenty_newsgroups.py (ARCHIVE, for these very addresses); those of the
// others by torchvision in torchvision/datasets/mnist.py (MNIST and FashionMNIST, resources), cifar.py
// (CIFAR10, tgz_md5) and omniglot.py (zips_md5).
var publics = []*Public{
	{
		Name: "ijcnn1", Title: "IJCNN 2001 challenge, engine misfires", Page: libsvmBinary[:len(libsvmBinary)-1] +
			".html#ijcnn1",
		Licence: "not stated", Rows: 49990, TestRows: 91701, Features: 22, Classes: 2,
		Files: []PublicFile{
			{Name: "ijcnn1.bz2", URLs: []string{libsvmBinary + "ijcnn1.bz2"}, Size: 1_400_000, rows: 49990},
			{Name: "ijcnn1.t.bz2", URLs: []string{libsvmBinary + "ijcnn1.t.bz2"}, Size: 2_600_000, rows: 91701},
		},
		copies: []copySet{{names: []string{"ijcnn1.trn.bz2", "ijcnn1.tst.bz2"}}},
		load:   loadLIBSVM,
	},
	{
		Name: "a9a", Title: "UCI Adult, income above 50,000", Page: libsvmBinary[:len(libsvmBinary)-1] + ".html#a9a",
		Licence: "not stated", Rows: 32561, TestRows: 16281, Features: 123, Classes: 2,
		Files: []PublicFile{
			{Name: "a9a", URLs: []string{libsvmBinary + "a9a"}, Size: 2_300_000, rows: 32561},
			{Name: "a9a.t", URLs: []string{libsvmBinary + "a9a.t"}, Size: 1_200_000, rows: 16281},
		},
		load: loadLIBSVM,
	},
	{
		Name: "w8a", Title: "web pages by key words", Page: libsvmBinary[:len(libsvmBinary)-1] + ".html#w8a",
		Licence: "not stated", Rows: 49749, TestRows: 14951, Features: 300, Classes: 2,
		Files: []PublicFile{
			{Name: "w8a", URLs: []string{libsvmBinary + "w8a"}, Size: 4_000_000, rows: 49749},
			{Name: "w8a.t", URLs: []string{libsvmBinary + "w8a.t"}, Size: 1_200_000, rows: 14951},
		},
		load: loadLIBSVM,
	},
	{
		Name: "mnist", Title: "handwritten digits, 28 × 28", Page: "http://yann.lecun.com/exdb/mnist/",
		Licence: "CC BY-SA 3.0", Rows: 60000, TestRows: 10000, Features: 784, Classes: 10,
		Files: idxFiles([]string{"https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"},
			[4]int64{9_912_422, 28_881, 1_648_877, 4_542},
			[4]string{"f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
				"9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c"}),
		load: loadIDX,
	},
	{
		Name: "fashion-mnist", Aliases: []string{"fashionmnist", "fashion_mnist"}, Title: "articles of clothing, 28 × 28",
		Page:    "https://github.com/zalandoresearch/fashion-mnist",
		Licence: "MIT", Rows: 60000, TestRows: 10000, Features: 784, Classes: 10,
		Files: idxFiles([]string{"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"},
			[4]int64{26_421_880, 29_515, 4_422_102, 5_148},
			[4]string{"8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
				"bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"}),
		load: loadIDX,
	},
	{
		Name: "20newsgroups", Aliases: []string{"20news", "20-newsgroups"},
		Title:   "news posts by group, raw text, split by date",
		Page:    "http://people.csail.mit.edu/jrennie/20Newsgroups/",
		Licence: "not stated", Rows: 11314, TestRows: 7532, Classes: 20,
		Files: []PublicFile{{Name: "20news-bydate.tar.gz", URLs: []string{"https://ndownloader.figshare.com/files/5975967"},
			Size:   14_464_277,
			SHA256: "8f1b2514ca22a5ade8fbb9cfa5727df95fa587f4c87b786e15c759fa66d95610"}},
		folders: []string{"20news"},
		load:    loadNewsgroups,
	},
	{
		Name: "covtype", Aliases: []string{"covertype"}, Title: "forest cover types",
		Page:    "https://archive.ics.uci.edu/dataset/31/covertype",
		Licence: "CC BY 4.0", Rows: 581012, Features: 54, Classes: 7,
		Files: []PublicFile{{Name: "covtype.data.gz", URLs: []string{"https://ndownloader.figshare.com/files/5976039"},
			Size:   11_240_707,
			SHA256: "614360d0257557dd1792834a85a1cdebfadc3c4f30b011d56afee7ffb5b15771"}},
		copies: []copySet{{names: []string{"covtype-sample.csv.gz"}, note: "it is a 16 % sample of the rows, with the " +
			"continuous features scaled to [0, 1]"}},
		load: loadCovtype,
	},
	{
		Name: "cifar10", Aliases: []string{"cifar-10"}, Title: "small colour photographs, 32 × 32",
		Page:    "https://www.cs.toronto.edu/~kriz/cifar.html",
		Licence: "not stated", Rows: 50000, TestRows: 10000, Features: 3072, Classes: 10,
		Files: []PublicFile{{Name: "cifar-10-python.tar.gz",
			URLs: []string{"https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"}, Size: 170_498_071,
			MD5: "c58f30108f718f92721af3b95e74349a"}},
	},
	{
		Name: "omniglot", Title: "handwritten characters of 50 alphabets, PNG",
		Page:    "https://github.com/brendenlake/omniglot",
		Licence: "MIT", Rows: 19280, TestRows: 13180, Features: 11025, Classes: 1623,
		Files: []PublicFile{
			{Name: "images_background.zip",
				URLs: []string{"https://raw.githubusercontent.com/brendenlake/omniglot/master/python/images_background.zip"},
				Size: 9_464_212, MD5: "68d2efa1b9178cc56df9314c21c6e718"},
			{Name: "images_evaluation.zip",
				URLs: []string{"https://raw.githubusercontent.com/brendenlake/omniglot/master/python/images_evaluation.zip"},
				Size: 6_462_886, MD5: "6b91aef0f799c5bb55b94e3f2daec811"},
		},
		copies: []copySet{{names: []string{"omniglot28.tar.gz"}, note: "the drawings are scaled to 28 × 28, both parts in " +
			"one archive"}},
	},
}

// idxFiles are the four files of MNIST and its likes.
func idxFiles(mirrors []string, size [4]int64, md5 [4]string) []PublicFile {
	files := make([]PublicFile, 4)
	for k, name := range []string{"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
		"t10k-labels-idx1-ubyte.gz"} {
		files[k] = PublicFile{Name: name, Size: size[k], MD5: md5[k]}
		for _, m := range mirrors {
			files[k].URLs = append(files[k].URLs, m+name)
		}
	}
	return files
}

// Publics returns the registry of public sets.
func Publics() []*Public { return slices.Clone(publics) }

// Lookup finds a public set by name, in any case.
func Lookup(name string) (*Public, error) {
	var names []string
	for _, p := range publics {
		if strings.EqualFold(p.Name, name) || slices.ContainsFunc(p.Aliases,
			func(a string) bool { return strings.EqualFold(a, name) }) {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return nil, fail("", "known are "+strings.Join(names, ", ")+nearest.Hint(name, names),
		"no public set is called %s", quote(name))
}

// Size is the size of all files in bytes, about.
func (p *Public) Size() int64 {
	var n int64
	for _, f := range p.Files {
		n += f.Size
	}
	return n
}

// loadLIBSVM reads a file for training and one for test.
func loadLIBSVM(ctx context.Context, f *Files) (train, test *Set, err error) {
	// The width is declared: a file need not use the last features.
	like := &Schema{Format: "libsvm", Width: f.Public.Features, Sparse: f.Public.Features > 64}
	if train, err = Read(ctx, f.Paths[0], Options{Memory: f.memory, Format: "libsvm", Like: like}); err != nil {
		return nil, nil, err
	}
	if err = train.AsClasses(); err != nil {
		return nil, nil, err
	}
	test, err = Read(ctx, f.Paths[1], Options{Memory: f.memory, Format: "libsvm", Like: train.Schema})
	return train, test, err
}

// loadNewsgroups reads the two folders of the archive, with the words of the first.
func loadNewsgroups(ctx context.Context, f *Files) (train, test *Set, err error) {
	o := Options{Memory: f.memory, Format: "text", Text: f.text}
	if train, err = Read(ctx, f.Paths[0]+"/20news-bydate-train", o); err != nil {
		return nil, nil, err
	}
	test, err = Read(ctx, f.Paths[0]+"/20news-bydate-test", Options{Memory: f.memory, Format: "text", Like: train.Schema})
	return train, test, err
}

// loadIDX reads MNIST and its likes.
func loadIDX(ctx context.Context, f *Files) (train, test *Set, err error) {
	if train, err = Read(ctx, f.Paths[0], Options{Memory: f.memory, Format: "idx", Labels: f.Paths[1]}); err != nil {
		return nil, nil, err
	}
	if err = train.AsClasses(); err != nil {
		return nil, nil, err
	}
	test, err = Read(ctx, f.Paths[2], Options{Memory: f.memory, Format: "idx", Labels: f.Paths[3], Like: train.Schema})
	return train, test, err
}

// loadCovtype reads the one file, with a header or without.
func loadCovtype(ctx context.Context, f *Files) (train, test *Set, err error) {
	o := Options{Memory: f.memory, Format: "csv", NoHeader: strings.HasSuffix(f.Paths[0], f.Public.Files[0].Name)}
	if train, err = Read(ctx, f.Paths[0], o); err != nil {
		return nil, nil, err
	}
	if o.NoHeader && len(train.Features) == len(covtypeNames) {
		train.rename(covtypeNames, "Cover_Type")
	}
	return train, nil, train.AsClasses()
}

// covtypeNames are the columns of covtype.data, which has no header, as its covtype.info names them.
var covtypeNames = func() []string {
	names := []string{"Elevation", "Aspect", "Slope", "Horizontal_Distance_To_Hydrology", "Vertical_Distance_To_Hydrology",
		"Horizontal_Distance_To_Roadways", "Hillshade_9am", "Hillshade_Noon", "Hillshade_3pm",
		"Horizontal_Distance_To_Fire_Points"}
	for k := range 4 {
		names = append(names, fmt.Sprintf("Wilderness_Area%d", k+1))
	}
	for k := range 40 {
		names = append(names, fmt.Sprintf("Soil_Type%d", k+1))
	}
	return names
}()
