// Package model has ready objectives: squared, logistic, softmax and other losses of linear models on dense and
// sparse rows, quadratic penalties whose strengths are the outer variables, cross-validation folds, and rows whose
// weights are the outer variables.
//
// A loss is a [Loss], made by [NewSquared], [NewLogistic], [NewSoftmax], [NewPoisson], [NewHuber] or [NewSquaredHinge];
// alone it is an outer objective in which x does not enter. [Loss.Weigh] makes rows count by given weights. With a
// [Penalty] it becomes a [Regularized] inner objective,
//
//	g(z, x) = mean over rows of ℓ(⟨a_i, z⟩, y_i) + ½ Σ_j s(x_j) z_j²,  s(x) = eˣ or x,
//
// an [L1] norm makes z sparse (package nonsmooth), and [Folds] stacks the inner problems of K-fold
// cross-validation; [Cleaning] weighs the rows of a loss by the outer variable. An intercept is a column of ones
// (rows.Matrix.WithOnes), the last one, which a penalty leaves out.
//
// # Layout of z
//
// A model with one score per row has z[j] for feature j. A softmax model with k classes has
// z[class*features + feature] on dense rows, and z[feature*classes + class] on sparse rows, where the
// coefficients of one feature lie together; [Layout] tells.
//
// Full passes run on all cores from about a million multiplications on. They add fixed chunks of 1,024 rows in
// order, so that their bits do not depend on GOMAXPROCS.
package model
