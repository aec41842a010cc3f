package model

// Layout says which coefficient of z belongs to which class and feature.
type Layout struct {
	Features     int  // columns of the data, an intercept's column of ones included
	Classes      int  // scores per row: 1, or the number of classes of a softmax model
	FeatureMajor bool // z[feature*Classes+class] instead of z[class*Features+feature]
}

// Len is the length of z.
func (l Layout) Len() int { return l.Features * l.Classes }

// Index is the place in z of a class's coefficient for a feature.
func (l Layout) Index(class, feature int) int {
	if l.FeatureMajor {
		return feature*l.Classes + class
	}
	return class*l.Features + feature
}

// place is the inverse of Index.
func (l Layout) place(i int) (class, feature int) {
	if l.FeatureMajor {
		return i % l.Classes, i / l.Classes
	}
	return i / l.Features, i % l.Features
}
